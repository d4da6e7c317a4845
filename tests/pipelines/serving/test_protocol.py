"""The Open Inference Protocol by clients that none of us wrote, and requests that break it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from pipelines.serving.bundle import Bundle
from tests.pipelines.older import drop_prepared_onnx
from tests.pipelines.serving.running import ROW, Response, Running, running
from tests.pipelines.serving.tiny import FLIGHT, HASHED, SPEC, arrays, export_tiny

EXAMPLES = os.environ.get("RINGMILL_SCHEMATHESIS_EXAMPLES", "25")
"""Examples an operation; the count of requests is some 20 times as many."""
ROWS = arrays(FLIGHT, {**FLIGHT, "temp": None, "airline": None, "origin": "LGA", "distance": 9.0})
TENSORS = {
    name: {
        "name": name,
        "datatype": "BYTES" if kind.dtype == "string" else "FP64",
        "shape": [1, *kind.shape],
        "data": FLIGHT[name] if kind.shape else [FLIGHT[name]],
    }
    for name, kind in SPEC.inputs.items()
}
INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client."""
    with triton.InferenceServerClient(f"127.0.0.1:{service.port}") as connected:
        yield connected


def tensors(*, binary: bool, metadata: dict[str, Any], rows: dict[str, Any] = ROWS) -> list[triton.InferInput]:
    """Its inputs, as the model's metadata names them."""
    inputs = []
    for tensor in metadata["inputs"]:
        value = rows[tensor["name"]]
        inputs.append(triton.InferInput(tensor["name"], list(value.shape), tensor["datatype"]))
        inputs[-1].set_data_from_numpy(value, binary_data=binary)
    return inputs


def test_tritonclient_finds_the_server_and_the_model(client: triton.InferenceServerClient, published: Path) -> None:
    version = Bundle.open(str(published)).digest[:12]
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("tiny") and client.is_model_ready("tiny", version)
    assert not client.is_model_ready("tiny", "1") and not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("tiny", version)
    assert metadata["versions"] == [version]
    shapes = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"]}
    assert (shapes["distance"], shapes["origin"], shapes["past_temp"]) == (
        ("FP64", [-1]), ("BYTES", [-1]), ("FP64", [-1, 3]),
    )  # fmt: skip
    assert metadata["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1]}]


def test_tritonclient_infers_in_binary_and_in_json(client: triton.InferenceServerClient, published: Path) -> None:
    expected = Bundle.open(str(published)).score(ROWS)
    metadata = client.get_model_metadata("tiny")
    complete = arrays(FLIGHT)
    for binary, rows, wanted in ((True, ROWS, expected), (False, complete, expected[:1])):
        inputs = tensors(binary=binary, metadata=metadata, rows=rows)
        outputs = [triton.InferRequestedOutput("output", binary_data=binary_output) for binary_output in (True, False)]
        results = [client.infer("tiny", inputs, outputs=[output]) for output in outputs]
        results.append(client.infer("tiny", inputs, request_id="r7", model_version=metadata["versions"][0]))
        for result in results:
            np.testing.assert_allclose(result.as_numpy("output"), wanted, rtol=0, atol=1e-6)
        assert results[-1].get_response()["id"] == "r7"


def test_tritonclient_sees_what_was_wrong(client: triton.InferenceServerClient) -> None:
    inputs = tensors(binary=True, metadata=client.get_model_metadata("tiny"))
    with pytest.raises(InferenceServerException, match="past_temp: missing; expected 3 values") as missing:
        client.infer("tiny", inputs[:-1])
    assert missing.value.status() == "422"
    with pytest.raises(InferenceServerException, match="there is no model 'other'; expected tiny"):
        client.infer("other", inputs)
    with pytest.raises(InferenceServerException, match=r"no JSON.*Expected UTF-8 JSON without NaN"):
        client.infer("tiny", tensors(binary=False, metadata=client.get_model_metadata("tiny")))


def infer(service: Running, **changes: dict[str, Any]) -> Response:
    """A request of one row, some tensors changed."""
    inputs = [{**tensor, **changes.get(name, {})} for name, tensor in TENSORS.items()]
    return service.call("POST", INFER, {"inputs": inputs})


def test_json_tensors_may_be_nested_and_null(service: Running, published: Path) -> None:
    expected = Bundle.open(str(published)).score(arrays({**FLIGHT, "temp": None, "airline": None}))
    response = infer(service, temp={"data": [None]}, airline={"data": [None]}, past_temp={"data": [FLIGHT["past_temp"]]})
    assert response.status == 200
    assert response.json["outputs"][0]["data"] == pytest.approx(expected.tolist(), abs=1e-6)
    assert infer(service, seats={"datatype": "INT32", "data": [189]}, temp={"datatype": "FP32"}).status == 200


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("seats", {"datatype": "BYTES"}, 422, "seats: datatype 'BYTES'; expected FP64 or FP32 or INT64 or INT32."),
    ("origin", {"datatype": "FP64"}, 422, "origin: datatype 'FP64'; expected BYTES."),
    ("seats", {"datatype": ["FP64"]}, 422, "seats: datatype ['FP64']; expected FP64 or"),
    ("seats", {"shape": [1, 1]}, 422, "seats: shape [1, 1]; expected [rows], rows from 1 to 40."),
    ("seats", {"shape": [2]}, 422, "seats: 1 values; its shape says 2."),
    ("seats", {"shape": [2], "data": [1, 2]}, 422, "distance: 1 rows, where seats has 2; expected as many of each input."),
    ("seats", {"shape": [0], "data": []}, 422, "seats: no rows; expected at least one."),
    ("seats", {"shape": [-1]}, 422, "seats: shape [-1]; expected [rows]"),
    ("seats", {"shape": [41], "data": [1] * 41}, 413, "seats: 41 rows; expected at most 40."),
    ("seats", {"shape": None}, 422, "seats: shape None; expected [rows]"),
    ("seats", {"shape": [1.0]}, 422, "seats: shape [1.0]; expected [rows]"),
    ("past_temp", {"shape": [1, 4], "data": [1] * 4}, 422, "past_temp: shape [1, 4]; expected [rows, 3]"),
    ("past_temp", {"shape": [3]}, 422, "past_temp: shape [3]; expected [rows, 3]"),
    ("seats", {"data": ["9"]}, 422, "seats: value 0 is '9'; expected a number, or null where it is missing."),
    ("seats", {"data": [True]}, 422, "seats: value 0 is True; expected a number"),
    ("origin", {"data": [5]}, 422, "origin: value 0 is 5; expected text"),
    ("seats", {"data": {"a": 1}}, 400, "seats: data is {'a': 1}; expected a list"),
    ("seats", {"data": [2**53 + 1]}, 422, "seats: received 9007199254740993; expected a whole number from 1 to 900 seats"),
    ("distance", {"data": [0.5]}, 422, "distance: row 0: received 0.5; expected a number from 1 to 6000 miles."),
    ("distance", {"data": [None]}, 422, "distance: row 0: it is missing; expected a number from 1 to 6000 miles."),
    ("holiday", {"data": [0.5]}, 422, "holiday: row 0: received 0.5; expected true or false, or null."),
    ("origin", {"data": ["SFO"]}, 422, "origin: row 0: received 'SFO'; expected one of EWR, JFK, LGA."),
    ("seats", {"name": "chairs"}, 422, "chairs: unknown; expected one of distance,"),
    ("seats", {"name": "temp"}, 400, "inputs: a name is there twice"),
    ("seats", {"name": None}, 400, "inputs[1].name is None; expected text."),
    ("seats", {"parameters": 3}, 400, "seats's parameters is 3; expected an object."),
    ("seats", {"parameters": {"binary_data_size": 8}}, 400, "seats: binary_data_size 8; 0 bytes of binary data are left."),
]


def test_tensors_of_a_wrong_type_shape_or_value_are_refused_by_name(service: Running) -> None:
    for name, change, status, message in WRONG:
        response = infer(service, **{name: change})
        assert (response.status, list(response.json)) == (status, ["error"]), (name, change, response)
        assert response.json["error"].startswith(message), (name, change, response.json)
    for body in ("[]", "{}", '{"inputs": 3}', '{"inputs": []}', '{"inputs": [1]}', "", "{"):
        assert service.call("POST", INFER, body).status == 400, body


def binary_request(name: str, data: bytes, header: str | None = None, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """A request of one row in which one tensor is binary."""
    tensor = {k: v for k, v in TENSORS[name].items() if k != "data"}
    tensor |= {"parameters": {"binary_data_size": len(data)}, **changes}
    head = json.dumps({"inputs": [tensor if each == name else TENSORS[each] for each in TENSORS]}).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head)) if header is None else header}


def test_binary_tensors_that_are_cut_or_of_other_bytes_are_refused(service: Running) -> None:
    def text(content: bytes) -> bytes:
        return struct.pack("<I", len(content)) + content

    cases: list[tuple[tuple[bytes, dict[str, str]], int, str]] = [
        (binary_request("origin", text(b"JFK")), 200, ""),
        (binary_request("distance", struct.pack("<d", 1400)), 200, ""),
        (binary_request("delay_1h", struct.pack("<d", float("nan"))), 200, ""),
        (binary_request("delay_1h", struct.pack("<d", float("inf"))), 422, "delay_1h: row 0: received inf; expected a number"),
        (binary_request("distance", struct.pack("<d", float("nan"))), 422, "distance: row 0: it is missing"),
        (binary_request("distance", b"\0" * 7), 422, "distance: 7 bytes; 1 values of FP64 take 8."),
        (
            binary_request("delay_1h", struct.pack("<q", 2**53 + 1), datatype="INT64"),
            422,
            "delay_1h: a whole number beyond 2^53",
        ),
        (binary_request("origin", text(b"JFK")[:-1]), 422, "origin: its bytes end within text 0 of 1"),
        (binary_request("origin", b"\xff\xff\xff\xff"), 422, "origin: its bytes end within text 0 of 1"),
        (binary_request("origin", text(b"JFK") + b"x"), 422, "origin: 1 bytes after its 1 texts"),
        (binary_request("origin", text(b"\xff")), 422, "origin: text 0 is no UTF-8"),
        (binary_request("distance", b"\0" * 8, "99999"), 400, "Inference-Header-Content-Length is 99999; the body has"),
        (binary_request("distance", b"\0" * 8, "x"), 400, "Inference-Header-Content-Length is 'x'"),
        (binary_request("distance", b"\0" * 8, parameters={}), 400, "8 bytes of binary data belong to no input"),
    ]
    for (body, headers), status, message in cases:
        response = service.call("POST", INFER, body, headers)
        assert response.status == status, (message, response)
        assert status == 200 or response.json["error"].startswith(message), (message, response.json)


@pytest.mark.slow
def test_schemathesis_finds_no_failure_and_nothing_that_breaks_the_schema(service: Running, tmp_path: Path) -> None:
    # What a tensor's data has to be follows from its shape, which JSON Schema can't say.
    tolerant = '[[operations]]\ninclude-path-regex = "infer$"\nchecks.positive_data_acceptance.enabled = false\n'
    (tmp_path / "schemathesis.toml").write_text(tolerant)
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(tmp_path / "schemathesis.toml"), "run"]
    url = f"http://127.0.0.1:{service.port}/openapi.json"
    options = ["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1", "--no-color"]
    completed = subprocess.run([*command, url, *options], cwd=tmp_path, text=True, capture_output=True, check=False)
    assert completed.returncode == 0, completed.stdout[:4000] + completed.stderr
    generated = next(line for line in completed.stdout.splitlines() if "generated" in line)
    assert int(generated.split()[0].replace(",", "")) > 300
    assert not [line for line in service.lines if line.get("status", 0) >= 500 or line.get("level") == "error"]


def test_a_model_without_onnx_is_served_by_tensorflow_which_the_service_says(tmp_path: Path) -> None:

    folder = drop_prepared_onnx(export_tiny(tmp_path / "m", HASHED))
    with running(folder) as server:
        server.wait_for(lambda line: "TensorFlow 2." in line.get("message", ""))
        assert server.call("GET", "/v2/models/tiny").json["platform"] == "tensorflow_savedmodel"
        response = server.predict({**ROW, "tailnum": "N123AA"})
        scores = Bundle.open(str(folder)).score({**arrays(FLIGHT), "tailnum": np.array(["N123AA"], object)})
        assert response.json["prediction"]["probability"] == pytest.approx(scores.tolist()[0], abs=1e-6)
