"""Requests that are answered straight from the connection, and those that the application gets."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pipelines.serving.bundle import Bundle
from pipelines.serving.fast_path import FastPath, WholeRequest
from pipelines.serving.service import Service
from pipelines.serving.settings import Limits, Settings
from pipelines.serving.sources import PathSource
from tests.pipelines.serving.running import PATIENCE, ROW, Running
from tests.pipelines.serving.tiny import FLIGHT, arrays

DISTANCES = (100.0, 700.0, 1400.0, 2800.0, 5600.0)
KEY = "a-key-of-23-characters!"


@pytest.fixture(scope="module")
def expected(published: Path) -> dict[float, float]:
    """TensorFlow's probability of the row with each distance."""
    scores = Bundle.open(str(published)).score(arrays(*({**FLIGHT, "distance": each} for each in DISTANCES)))
    return dict(zip(DISTANCES, scores.tolist(), strict=True))


class Results(NamedTuple):
    """What became of requests, by their position: answers, those that the application got later, and those it got at once."""

    answers: dict[int, Any]
    later: list[int]
    at_once: list[int]


def send_at_once(service: Service, *bodies: Any, headers: list[tuple[bytes, bytes]] | None = None) -> Results:
    """Requests of one step, tensors to `infer` and others to `/predict`."""
    service.load_first()
    results, path = Results({}, [], []), FastPath(service)

    async def offer() -> None:
        for at, body in enumerate(bodies):
            route = "/v2/models/tiny/infer" if isinstance(body, dict) and "inputs" in body else "/predict"
            scope = {"method": "POST", "path": route, "headers": headers or [], "client": ("127.0.0.1", 1)}
            content = body if isinstance(body, bytes) else json.dumps(body).encode()

            def respond(_: str, answer: bytes, at: int = at) -> None:
                results.answers[at] = json.loads(answer)

            request = WholeRequest(scope, content, 0.0, respond, lambda at=at: results.later.append(at))  # type: ignore[misc]
            if not path.offer(request):
                results.at_once.append(at)
        while len(results.answers) + len(results.later) + len(results.at_once) < len(bodies):
            await asyncio.sleep(0.001)

    asyncio.run(offer())
    assert (service.in_flight, service.model.batcher.queued) == (0, 0)
    return results


def service_of(model: Path, limits: Limits | None = None, **settings: Any) -> Service:
    """A service that is not started."""
    return Service(PathSource(str(model)), Settings(limits=limits or Limits(), access_log=False, **settings))


@pytest.mark.parametrize("in_a_thread", [False, True])
def test_requests_of_one_step_are_one_batch_and_each_gets_its_own_rows(
    published: Path, expected: dict[float, float], in_a_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_a_thread:
        monkeypatch.setattr("pipelines.serving.served.INLINE_SECONDS", 0.0)
    service = service_of(published)
    rows = [{**ROW, "distance": each} for each in DISTANCES]
    results = send_at_once(service, rows[0], rows[1:3], rows[3], [rows[4]])
    several = [results.answers[at].get("predictions") or [results.answers[at]["prediction"]] for at in range(4)]
    assert [len(each) for each in several] == [1, 2, 1, 1]
    assert [row["probability"] for each in several for row in each] == pytest.approx(list(expected.values()), abs=1e-6)
    assert service.model.inline is not in_a_thread
    assert b"ringmill_batch_rows_sum 5.0" in service.metrics.text()
    assert b"ringmill_batch_rows_count 1.0" in service.metrics.text()
    assert b'ringmill_requests_total{route="predict",status="200"} 4.0' in service.metrics.text()


def test_tensors_and_named_values_share_a_batch(published: Path, expected: dict[float, float]) -> None:
    service, tensors = service_of(published), [tensor(name, [value]) for name, value in FLIGHT.items()]
    two = [tensor(name, [value] * 2) for name, value in {**FLIGHT, "distance": 700.0}.items()]
    results = send_at_once(service, {"inputs": tensors, "id": "7"}, {**ROW, "distance": 100}, {"inputs": two})
    outputs = [results.answers[at]["outputs"][0] for at in (0, 2)]
    assert [output["shape"] for output in outputs] == [[1], [2]]
    values = [*outputs[0]["data"], results.answers[1]["prediction"]["probability"], *outputs[1]["data"]]
    assert values == pytest.approx([expected[each] for each in (1400.0, 100.0, 700.0, 700.0)], abs=1e-6)
    assert (results.answers[0]["id"], results.answers[0]["model_name"]) == ("7", "tiny")
    assert b"ringmill_batch_rows_count 1.0" in service.metrics.text()
    assert b'ringmill_requests_total{route="infer",status="200"} 2.0' in service.metrics.text()


def tensor(name: str, values: list[Any]) -> dict[str, Any]:
    """A tensor of the protocol, its numbers one after the other."""
    array = np.array(values)
    datatype = "BYTES" if name in ("origin", "airline") else "FP64"
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}


def test_a_wrong_request_goes_to_the_application_and_its_neighbours_do_not(
    published: Path, expected: dict[float, float]
) -> None:
    bodies = [{**ROW, "distance": distance} for distance in (100.0, 0.0, 700.0)]
    results = send_at_once(service_of(published), *bodies, {**ROW, "seats": 1.5}, b"{", {**ROW, "temp": "warm"})
    probabilities = [results.answers[at]["prediction"]["probability"] for at in (0, 2)]
    assert probabilities == pytest.approx([expected[100.0], expected[700.0]], abs=1e-6)
    assert (sorted(results.later), results.at_once) == ([1, 3], [4, 5])


def test_what_the_limits_and_the_key_refuse_goes_to_the_application(published: Path) -> None:
    results = send_at_once(service_of(published, Limits(queue_rows=3)), [ROW] * 2, [ROW] * 2, ROW)
    assert (sorted(results.answers), results.at_once) == ([0, 2], [1])
    results = send_at_once(service_of(published, Limits(concurrency=2)), ROW, ROW, ROW)
    assert (sorted(results.answers), results.at_once) == ([0, 1], [2])
    for given, at_once in ((None, [0]), (KEY[:-1], [0]), (KEY, [])):
        headers = [(b"x-api-key", given.encode())] if given else []
        assert send_at_once(service_of(published, key=KEY), ROW, headers=headers).at_once == at_once


def test_more_rows_than_a_batch_takes_are_several_batches(published: Path) -> None:
    service = service_of(published, Limits(batch_rows=4))
    results = send_at_once(service, *[[ROW] * 3] * 3, [ROW] * 9)
    assert [len(results.answers[at]["predictions"]) for at in range(4)] == [3, 3, 3, 9]
    assert b"ringmill_batch_rows_count 4.0" in service.metrics.text()


def test_rows_that_the_model_can_not_score_go_to_the_application(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_of(published)
    service.load_first()

    def fail(*_: Any) -> None:
        raise ArithmeticError

    monkeypatch.setattr("pipelines.serving.batcher.Batcher.score_now", fail)
    assert sorted(send_at_once(service, ROW, ROW).later) == [0, 1]


def test_the_request_log_has_each_requests_own_rows(published: Path, tmp_path: Path) -> None:
    results = send_at_once(
        service_of(published, request_log=tmp_path), [ROW, {**ROW, "distance": 100.0}], {**ROW, "distance": 700.0}
    )
    lines = [json.loads(line) for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert [(line["served_row"], line["distance"], line["origin"]) for line in lines] == [
        (0, 1400.0, "JFK"), (1, 100.0, "JFK"), (0, 700.0, "JFK"),
    ]  # fmt: skip
    assert lines[2]["served_score"] == results.answers[1]["prediction"]["probability"]


def head(body: bytes, *more: bytes, path: str = "/predict", version: str = "1.1") -> bytes:
    """A request's head."""
    lines = (f"POST {path} HTTP/{version}".encode(), b"Host: a", b"Content-Length: %d" % len(body), *more)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def read_answers(client: socket.socket, count: int) -> list[tuple[bytes, Any]]:
    """The heads and the JSON of so many answers."""
    client.settimeout(PATIENCE)
    received = b""
    parts: list[tuple[bytes, Any]] = []
    while len(parts) < count:
        before, separator, after = received.partition(b"\r\n\r\n")
        size = int(before.partition(b"content-length: ")[2].split(b"\r\n")[0] or 0) if separator else 0
        if separator and len(after) >= size:
            parts.append((before, json.loads(after[:size])))
            received = after[size:]
        else:
            part = client.recv(1 << 16)
            assert part, received
            received += part
    return parts


def test_requests_sent_ahead_are_answered_in_their_order(service: Running, expected: dict[float, float]) -> None:
    bodies = [json.dumps({**ROW, "distance": each}).encode() for each in DISTANCES]
    wrong = json.dumps({**ROW, "distance": 0}).encode()
    sent = [head(body) + body for body in (*bodies, wrong, *bodies)]
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(b"".join(sent)[:-20])
        client.sendall(b"".join(sent)[-20:])
        received = read_answers(client, 11)
    assert received.pop(5)[0].startswith(b"HTTP/1.1 422")
    probabilities = [content["prediction"]["probability"] for _, content in received]
    assert probabilities == pytest.approx([*expected.values()] * 2, abs=1e-6)


def test_a_body_may_come_in_parts_and_late(service: Running) -> None:
    body = json.dumps(ROW).encode()
    whole = head(body) + body
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for parts in ((whole[:30], whole[30:]), (head(body), body[:9], body[9:]), (whole,)):
            for part in parts:
                client.sendall(part)
            assert read_answers(client, 1)[0][0].startswith(b"HTTP/1.1 200 OK")
        client.sendall(whole[:-9])
        waiting = service.wait_for_metric("ringmill_requests_in_flight", 1.0)  # then the application has it
        client.sendall(whole[-9:])
        assert waiting and read_answers(client, 1)[0][1]["model"] == "tiny"


def test_the_application_answers_the_same(service: Running) -> None:
    tensors = [tensor(name, [value]) for name, value in FLIGHT.items()]
    for path, content in (
        ("/predict", ROW),
        ("/predict", [ROW] * 3),
        ("/v2/models/tiny/infer", {"inputs": tensors, "id": "7"}),
    ):
        body, own_id = json.dumps(content).encode(), b"X-Request-Id: mine"
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(head(body, own_id, path=path) + body)
            client.sendall(head(body, own_id, b"X-Forwarded-For: 10.0.0.1", path=path) + body)
            (fast, answer), (other, same) = read_answers(client, 2)
        assert answer == same
        assert without_date(fast) == without_date(other)


def without_date(text: bytes) -> list[bytes]:
    """The lines of a head."""
    return [line for line in text.split(b"\r\n") if not line.startswith(b"date: ")]


@pytest.mark.parametrize(("version", "more"), [("1.0", ()), ("1.1", (b"Connection: close",))])
def test_a_connection_that_is_to_be_closed_is_closed(service: Running, version: str, more: tuple[bytes, ...]) -> None:
    body = json.dumps(ROW).encode()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(head(body, *more, version=version) + body)
        assert b"connection: close" in read_answers(client, 1)[0][0].lower()
        assert client.recv(1) == b""
