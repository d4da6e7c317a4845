"""The service over HTTP: what it answers, what it refuses, and how it starts, changes and ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.serving.bundle import Bundle
from tests.pipelines.serving.running import PATIENCE, ROW, Running, running, start
from tests.pipelines.serving.tiny import FLIGHT, arrays
from tests.root import ROOT

KEY = "a-key-of-23-characters!"


@pytest.fixture(scope="module")
def reference(published: Path) -> Any:
    """What TensorFlow makes of rows: another library than the one that serves."""
    bundle = Bundle.open(str(published))
    return lambda *rows: bundle.score(arrays(*rows)).tolist()


def test_named_values_get_the_models_probability(service: Running, reference: Any) -> None:
    response = service.predict()
    assert response.status == 200
    expected = reference(FLIGHT)[0]
    assert response.json["prediction"] == {
        "class": "late" if expected >= 0.5 else "on time", "threshold": 0.5, "probability": pytest.approx(expected, abs=1e-6),
    }  # fmt: skip
    assert response.json["model"] == "tiny"
    several = service.predict([ROW, {**ROW, "temp": None, "airline": None, "past_temp": [None, 39, 40]}])
    rows = (FLIGHT, {**FLIGHT, "temp": None, "airline": None, "past_temp": [np.nan, 39, 40]})
    assert [each["probability"] for each in several.json["predictions"]] == pytest.approx(reference(*rows), abs=1e-6)


WRONG: list[tuple[Any, int, str]] = [
    ({**ROW, "distance": 0}, 422, "distance: received 0; expected a number from 1 to 6000 miles."),
    ({**ROW, "distance": None}, 422, "distance: it is missing; expected a number from 1 to 6000 miles."),
    ({**ROW, "distance": "9"}, 422, "distance: received '9'; expected a number from 1 to 6000 miles."),
    ({**ROW, "distance": True}, 422, "distance: received True; expected a number from 1 to 6000 miles."),
    ({**ROW, "seats": 1.5}, 422, "seats: received 1.5; expected a whole number from 1 to 900 seats, or null."),
    ({**ROW, "delay_1h": 2**53 + 1}, 422, "delay_1h: received 9007199254740993; expected a number from -2^53 to 2^53 minutes"),
    ({**ROW, "delay_1h": 2**70}, 422, "delay_1h: received 1.1805916207174113e+21; expected a number from -2^53 to 2^53"),
    ({**ROW, "holiday": 1}, 422, "holiday: received 1; expected true or false, or null."),
    (
        {**ROW, "moment": "2013-07-04T12:00:00"},
        422,
        "moment: received '2013-07-04T12:00:00'; expected a date and time with its",
    ),
    ({**ROW, "moment": 5}, 422, "moment: received 5; expected a date and time with its offset."),
    ({**ROW, "origin": "SFO"}, 422, "origin: received 'SFO'; expected one of EWR, JFK, LGA."),
    ({**ROW, "airline": "b6"}, 422, "airline: received 'b6'; expected text like ^[A-Z0-9]{2}$, or null."),
    ({**ROW, "airline": "A" * 1_000_000}, 422, "airline: received 'AAAAAAAAAA"),
    ({**ROW, "past_temp": [1, 2]}, 422, "past_temp: received [1, 2]; expected 3 values, each a number from -60 to 130 degrees"),
    ({**ROW, "past_temp": [1, 2, 999]}, 422, "past_temp: received 999; expected 3 values, each a number from -60 to 130"),
    ({**ROW, "more": 1}, 422, "more: unknown; expected one of distance, seats,"),
    ({name: value for name, value in ROW.items() if name != "temp"}, 422, "temp: missing; expected a number from -60 to 130"),
    ([ROW, {**ROW, "seats": 0}], 422, "seats: row 1: received 0; expected a whole number from 1 to 900 seats"),
    ([ROW, 5], 422, "row 1 is a number; expected an object with a value for each input."),
    ([], 422, "the list has no row; expected at least one."),
    ([ROW] * 41, 413, "received 41 rows; expected at most 40. Send them in parts."),
    (json.dumps(ROW)[:-9], 400, "the body is no JSON: "),
    (json.dumps(ROW).replace("1400", "NaN"), 400, "the body is no JSON: "),
    (json.dumps(ROW).replace("1400", "Infinity"), 400, "the body is no JSON: "),
    (json.dumps(ROW).replace("1400", "1e999"), 400, "the body is no JSON: "),
    (b"\xff\xfe", 400, "the body is no JSON: "),
    ("", 400, "the body is no JSON: "),
    ("[" * 100_000, 400, "the body is no JSON: "),
]


def test_wrong_requests_are_refused_by_name_and_the_service_continues(service: Running) -> None:
    for body, status, message in WRONG:
        response = service.predict(body)
        assert (response.status, list(response.json)) == (status, ["error"]), (str(body)[:200], response)
        assert response.json["error"].startswith(message), (str(body)[:200], response.json)
        assert len(response.body) < 2000
    both = service.predict({**ROW, "distance": 0, "origin": "X"}).json["error"].split("\n")
    assert [line.split(":")[0] for line in both] == ["distance", "origin"]
    assert service.predict().status == 200


@pytest.mark.parametrize("path", ["/nothing", "/v2/models/other", "/v2/models/tiny/versions/9", "/v2/models/tiny/config"])
def test_an_unknown_path_is_404(service: Running, path: str) -> None:
    response = service.call("GET", path)
    assert (response.status, list(response.json)) == (404, ["error"])


def test_a_method_that_a_route_lacks_is_405(service: Running) -> None:
    response = service.call("DELETE", "/predict")
    assert (response.status, list(response.json), response.headers["allow"]) == (405, ["error"], "POST")


def test_a_body_of_50_mb_is_refused_and_its_client_sees_why(service: Running) -> None:
    response = service.predict(b'"' + b"a" * 50_000_000 + b'"')
    assert response.status == 413
    assert response.json["error"].startswith("the body has more than 1,100,000 bytes.")
    chunks = (b"a" * 100_000 for _ in range(20))
    connection = service.connect()
    connection.request("POST", "/predict", chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    assert service.call("POST", "/predict", "x", {"Content-Encoding": "gzip"}).status == 415


def test_a_client_that_stops_reading_or_sending_holds_up_nobody(service: Running) -> None:
    with (
        socket.create_connection(("127.0.0.1", service.port)) as silent,
        socket.create_connection(("127.0.0.1", service.port)) as deaf,
    ):
        silent.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        try:
            for _ in range(20_000):
                deaf.send(b"GET /schema HTTP/1.1\r\nHost: a\r\n\r\n")
        except (BlockingIOError, ConnectionError):  # all buffers are full, or the service has disconnected it
            pass
        assert service.predict().status == 200


ROWS = st.fixed_dictionaries(
    {
        "distance": st.floats(1, 6000),
        "seats": st.none() | st.integers(1, 900),
        "temp": st.none() | st.floats(-60, 130),
        "delay_1h": st.none() | st.floats(-100, 3000),
        "origin": st.sampled_from(["EWR", "JFK", "LGA"]),
        "airline": st.none() | st.from_regex("^[A-Z0-9]{2}\\Z"),
    }
)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(ROWS, min_size=60, max_size=60, unique_by=lambda row: row["distance"]))
def test_under_concurrent_load_every_caller_gets_its_own_row(
    service: Running, reference: Any, rows: list[dict[str, Any]]
) -> None:
    expected = reference(*({**FLIGHT, **row} for row in rows))
    with ThreadPoolExecutor(12) as pool:
        predictions = list(pool.map(lambda row: service.predict({**ROW, **row}).json["prediction"]["probability"], rows))
    assert predictions == pytest.approx(expected, abs=1e-6)


def test_effects_are_the_differences_that_each_replaced_input_makes(service: Running, reference: Any) -> None:
    explanation = service.call("POST", "/explain", ROW).json
    whole, without_temp, without_origin = reference(FLIGHT, {**FLIGHT, "temp": 57.0}, {**FLIGHT, "origin": ""})
    effects = {each["name"]: each["effect"] for each in explanation["effects"]}
    assert set(effects) == set(ROW)
    assert effects["temp"] == pytest.approx(whole - without_temp, abs=1e-6)
    assert effects["origin"] == pytest.approx(whole - without_origin, abs=1e-6)
    assert [abs(each["effect"]) for each in explanation["effects"]] == sorted(
        (abs(each) for each in effects.values()), reverse=True
    )
    assert explanation["method"].startswith("Leave one out")


def test_the_page_needs_nothing_from_elsewhere(service: Running) -> None:
    page = service.call("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    assert b"http://" not in page.body and b"https://" not in page.body and b"src=" not in page.body
    assert "default-src 'none'" in page.headers["content-security-policy"]
    schema = service.call("GET", "/schema").json
    assert [field["name"] for field in schema["inputs"] if field["from_history"]] == ["delay_1h", "past_temp"]


def test_metrics_and_the_access_log_have_requests_and_no_values(service: Running) -> None:
    service.predict({**ROW, "distance": 4321.0625})  # digits that no time and no request's id has by chance
    text = service.call("GET", "/metrics").body.decode()
    assert 'ringmill_requests_total{route="predict",status="200"}' in text
    assert 'ringmill_model_info{name="tiny",runtime="ONNX Runtime' in text
    assert "ringmill_batch_rows_bucket" in text and "ringmill_queue_rows 0.0" in text
    line = service.wait_for(lambda line: line.get("route") == "predict" and line.get("rows") == 1)
    assert {"time", "request", "method", "path", "status", "milliseconds", "client", "version"} <= set(line)
    assert "4321.0625" not in json.dumps(service.lines)


def test_only_the_whole_key_opens_the_service_and_probes_need_none(published: Path) -> None:
    with running(published, "--host", "0.0.0.0", "--key-variable", "OWN_KEY", OWN_KEY=KEY) as server:
        tries = [None, KEY[:-1], KEY + "!", KEY[:-1] + "?", KEY.upper(), "", "é" * 23]
        for key in tries:
            headers = {} if key is None else {"X-API-Key": key.encode().decode("latin-1")}
            assert server.call("POST", "/predict", ROW, headers).status == 401, key
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            assert server.call("POST", "/predict", ROW, headers).status == 200
        statuses = [server.call("GET", path).status for path in ("/", "/v2/health/live", "/v2/health/ready", "/metrics", "/v2")]
        assert statuses == [200, 200, 200, 401, 401]
        assert KEY not in json.dumps(server.lines)


def test_too_many_requests_at_once_are_429_with_when_to_try_again(published: Path) -> None:
    with running(published, "--concurrency", "1", "--body-seconds", "3") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            statuses: list[int] = []
            while not statuses or statuses[-1] == 200:
                response = server.predict()
                statuses.append(response.status)
            assert (response.status, response.headers["retry-after"], list(response.json)) == (429, "1", ["error"])
            assert server.call("GET", "/v2/health/ready").status == 200
            slow.settimeout(PATIENCE)
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert server.predict().status == 200


def publish(folder: Path, to: Path) -> None:
    """Replace a published model by another: the old one is removed before the new one is complete."""
    if to.exists():
        to.rename(to.with_name("before"))
    shutil.copytree(folder, to)
    shutil.rmtree(to.with_name("before"), ignore_errors=True)


def test_a_new_model_takes_over_without_a_failed_or_mixed_request(published: Path, other: Path, tmp_path: Path) -> None:
    served_folder = tmp_path / "m"
    publish(published, served_folder)
    scores = {Bundle.open(str(f)).digest[:12]: float(Bundle.open(str(f)).score(arrays(FLIGHT))[0]) for f in (published, other)}
    assert len(set(scores.values())) == 2
    with running(served_folder, "--poll-seconds", "0") as server:
        responses: list[tuple[int, str, float]] = []
        done = threading.Event()

        def send() -> None:
            while not done.is_set():
                response = server.predict()
                responses.append((response.status, response.json["version"], response.json["prediction"]["probability"]))

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(send)
            for folder in (other, published):
                publish(folder, served_folder)
                server.process.send_signal(signal.SIGHUP)
                version = Bundle.open(str(folder)).digest[:12]
                until = time.monotonic() + PATIENCE
                while (not responses or responses[-1][1] != version) and time.monotonic() < until:
                    time.sleep(0.01)
            done.set()
        assert {status for status, _, _ in responses} == {200}
        assert {version for _, version, _ in responses} == set(scores)
        assert all(probability == pytest.approx(scores[version], abs=1e-6) for _, version, probability in responses)
        (served_folder / "features.json").write_text("{}")
        (served_folder / "manifest.json").write_text((served_folder / "manifest.json").read_text() + "\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda line: "features.json is not as published" in line.get("message", ""))
        assert server.predict().json["prediction"]["probability"] == pytest.approx(scores[responses[-1][1]], abs=1e-6)
        assert b'ringmill_model_loads_total{result="failed"} 1.0' in server.call("GET", "/metrics").body


def test_readiness_goes_first_and_requests_in_work_are_finished(published: Path) -> None:
    with running(published, "--drain-seconds", "3600") as server:
        connection = server.connect()
        body = json.dumps(ROW).encode()
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:10])
        server.process.send_signal(signal.SIGTERM)
        server.wait_for(lambda line: line.get("message", "").startswith("stopping"))
        assert server.call("GET", "/v2/health/ready").status == 503
        assert server.call("GET", "/v2/health/live").status == 200
        server.process.send_signal(signal.SIGTERM)  # not in an hour
        server.wait_for(lambda line: line.get("message") == "Waiting for connections to close. (CTRL+C to force quit)")
        connection.send(body[10:])
        assert connection.getresponse().status == 200
        assert server.process.wait(PATIENCE) == 0


def test_a_service_ends_by_itself_once_it_has_drained(published: Path) -> None:
    with running(published, "--drain-seconds", "1") as server:
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - began >= 1


STOPPED_AT_ONCE = """
import logging, os, signal, sys
from pipelines.serving.__main__ import main

def stop(record):
    if record.getMessage().startswith("listening"):
        os.kill(os.getpid(), signal.SIGTERM)
    return True

logging.getLogger("pipelines.serving.server").addFilter(stop)
sys.exit(main(sys.argv[1:]))
"""


def test_a_signal_that_comes_as_the_service_says_that_it_listens_is_a_normal_end(published: Path) -> None:
    command = [sys.executable, "-c", STOPPED_AT_ONCE, "--model", str(published), "--port", "0"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert completed.returncode == 0, completed.stderr
    assert "stopping: requests in work are finished" in completed.stdout


def exit_of(model: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and the message of a service that can't start."""
    process = start(model, *arguments, **environment)
    try:
        _, message = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, message


@pytest.mark.slow
def test_what_can_not_be_served_ends_with_its_exit_code(published: Path, service: Running, tmp_path: Path) -> None:
    spoiled = Path(shutil.copytree(published, tmp_path / "spoiled"))
    (spoiled / "model_card.json").write_text("{}")
    cases: list[tuple[Path, tuple[str, ...], dict[str, str], int, str]] = [
        (published, ("--port", str(service.port)), {}, 5, "can't listen: another program listens there. Give another --port"),
        (spoiled, (), {}, 5, "model_card.json is not as published: its size or SHA-256 differs"),
        (tmp_path / "none", (), {}, 5, "can't be loaded"),
        (published, ("--host", "0.0.0.0"), {}, 2, "other machines could call the service without a key"),
        (published, ("--threshold", "2"), {}, 2, "--threshold 2: Input should be less than or equal to 1"),
        (published, (), {"RINGMILL_SERVING_KEY": "short"}, 2, "the key has 5 characters; expected at least 16"),
        (published, ("--certificate", "none.pem"), {}, 2, "--certificate and --private-key belong together"),
        (published, ("--certificate", "none.pem", "--private-key", "none.pem"), {}, 2, "can't be used"),
    ]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: exit_of(case[0], *case[1], **case[2]), cases))
    for (code, message), case in zip(results, cases, strict=True):
        assert code == case[3] and case[4] in message, (case, message)
        assert "Traceback" not in message


def test_tls_is_served_with_the_certificate_of_the_arguments(published: Path, tmp_path: Path) -> None:
    files = {"-keyout": tmp_path / "key.pem", "-out": tmp_path / "certificate.pem"}
    named = [part for flag, path in files.items() for part in (flag, str(path))]
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(
        [*new, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", *named], check=True, capture_output=True
    )
    tls = ("--certificate", str(files["-out"]), "--private-key", str(files["-keyout"]))
    with running(published, *tls) as server:
        context = ssl.create_default_context(cafile=str(files["-out"]))
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            wrapped.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert wrapped.recv(1000).startswith(b"HTTP/1.1 200")
