"""Tensors of the Open Inference Protocol v2 as rows: in JSON, or in the binary extension.

Source: https://github.com/kserve/open-inference-protocol and Triton's binary tensor data extension.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.bundles.signature import InputField, OutputField
from pipelines.serving.failures import RequestError, TooLargeError, ValuesError
from pipelines.serving.named import parse_json
from pipelines.serving.rows import MOST_EXACT, RequestRows, RowSchema, problem
from schemas.vocabulary import shown

NUMBERS = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "INT32": "<i4"}
OUTPUT, CALIBRATED = "output", "calibrated_output"
LEGAL = {"FP64": tuple(NUMBERS), "BYTES": ("BYTES",)}
TYPES: dict[str, set[type]] = {"FP64": {float, int, type(None)}, "BYTES": {str, type(None)}}
LENGTH = struct.Struct("<I")


class InferRequest(NamedTuple):
    """What a request of the protocol asks: rows, its id, and the outputs, each with whether it is wanted in binary."""

    rows: RequestRows
    id: str | None
    outputs: dict[str, bool]


class TensorReader:
    """Reads requests of the protocol against the input schema."""

    def __init__(self, schema: RowSchema, most_rows: int, outputs: tuple[str, ...]) -> None:
        self._schema, self._most_rows, self._outputs = schema, most_rows, outputs

    def read(self, body: bytes, header_bytes: int | None) -> InferRequest:
        """Read a body whose JSON takes `header_bytes` (all of it where there is no binary data).

        Raises RequestError for what is not the protocol's, ValuesError where a tensor is not of its field's type, shape or
        values.
        """
        if header_bytes is not None and not 0 <= header_bytes <= len(body):
            raise RequestError(f"Inference-Header-Content-Length is {header_bytes}; the body has {len(body)} bytes.")
        content = parse_json(body if header_bytes is None else body[:header_bytes])
        binary = memoryview(b"" if header_bytes is None else body)[header_bytes or 0 :]
        request = _object(content, "the request")
        tensors = self._tensors(request)
        self._schema.check_names(tensors)
        blobs = _blobs(tensors, binary)
        values = {name: self._values(self._schema.fields[name], tensor, blobs.get(name)) for name, tensor in tensors.items()}
        rows = self._rows(values)
        self._schema.check(rows)
        id_ = request.get("id")
        if id_ is not None and not isinstance(id_, str):
            raise RequestError(f"id is {shown(id_)}; expected text.")
        return InferRequest(rows, id_, self._wanted(request))

    def _tensors(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        inputs = request.get("inputs")
        if not isinstance(inputs, list) or not inputs:
            raise RequestError(f"inputs is {shown(inputs)}; expected a list of tensors, one for each input of the model.")
        tensors: dict[str, dict[str, Any]] = {}
        for at, tensor in enumerate(inputs):
            if not isinstance(tensor, dict):
                raise RequestError(f"inputs[{at}] is {shown(tensor)}; expected an object.")
            name = tensor.get("name")
            if not isinstance(name, str):
                raise RequestError(f"inputs[{at}].name is {shown(name)}; expected text.")
            if name in tensors:
                raise RequestError("inputs: a name is there twice; expected each input once.")
            tensors[name] = tensor
        return tensors

    def _values(self, field: InputField, tensor: dict[str, Any], blob: memoryview | None) -> npt.NDArray[Any]:
        datatype, legal = tensor.get("datatype"), LEGAL[field.datatype]
        if datatype not in legal:
            raise ValuesError(f"{field.name}: datatype {shown(datatype)}; expected {' or '.join(legal)}.")
        count = self._check_shape(field, tensor.get("shape"))
        size = count * (field.length or 1)
        flat = _from_binary(field, datatype, blob, size) if blob is not None else _from_json(field, tensor.get("data"), size)
        return flat if field.length is None else flat.reshape(count, field.length)

    def _check_shape(self, field: InputField, shape: Any) -> int:
        plain = field.length is None and type(shape) is list and len(shape) == 1 and type(shape[0]) is int
        if plain and 0 < shape[0] <= self._most_rows:
            return int(shape[0])
        inner = [] if field.length is None else [field.length]
        whole = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
        if not whole or len(shape) != 1 + len(inner) or shape[1:] != inner:
            wanted = ", ".join(["rows", *map(str, inner)])
            raise ValuesError(f"{field.name}: shape {shown(shape)}; expected [{wanted}], rows from 1 to {self._most_rows:,}.")
        if shape[0] > self._most_rows:
            raise TooLargeError(f"{field.name}: {shape[0]:,} rows; expected at most {self._most_rows:,}. Send them in parts.")
        if shape[0] == 0:
            raise ValuesError(f"{field.name}: no rows; expected at least one.")
        return int(shape[0])

    def _rows(self, values: dict[str, npt.NDArray[Any]]) -> RequestRows:
        counts = {name: len(array) for name, array in values.items()}
        if len(set(counts.values())) > 1:
            few, many = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
            raise ValuesError(f"{few}: {counts[few]} rows, where {many} has {counts[many]}; expected as many of each input.")
        rows = next(iter(counts.values()))
        numbers = np.array([values[field.name] for field in self._schema.numbers], np.float64).reshape(-1, rows)
        words = {field.name: values[field.name].tolist() for field in self._schema.words}
        return RequestRows(numbers, words, {field.name: values[field.name] for field in self._schema.series})

    def _wanted(self, request: dict[str, Any]) -> dict[str, bool]:
        """The outputs by name, all where the request names none."""
        binary = _parameters(request, "the request").get("binary_data_output", False) is True
        outputs = request.get("outputs")
        if outputs is None or outputs == []:
            return dict.fromkeys(self._outputs, binary)
        if not isinstance(outputs, list):
            raise RequestError(f"outputs is {shown(outputs)}; expected a list.")
        wanted = {}
        for at, output in enumerate(outputs):
            one = _object(output, f"outputs[{at}]")
            if (name := one.get("name")) not in self._outputs:
                raise RequestError(f"outputs[{at}].name is {shown(name)}; expected {' or '.join(self._outputs)}.")
            wanted[name] = _parameters(one, f"outputs[{at}]").get("binary_data", binary) is True
        return wanted


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestError(f"{where} is {shown(value)}; expected an object.")
    return value


def _parameters(value: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = value.get("parameters")
    return {} if parameters is None else _object(parameters, f"{where}'s parameters")


def _blobs(tensors: dict[str, dict[str, Any]], binary: memoryview) -> dict[str, memoryview]:
    """The binary data of each tensor that has some, which lie one after the other in the tensors' order."""
    blobs, at = {}, 0
    for name, tensor in tensors.items():
        if "parameters" not in tensor or (size := _parameters(tensor, name).get("binary_data_size")) is None:
            continue
        if type(size) is not int or not 0 <= size <= len(binary) - at:
            raise RequestError(f"{name}: binary_data_size {shown(size)}; {len(binary) - at} bytes of binary data are left.")
        blobs[name] = binary[at : at + size]
        at += size
    if at != len(binary):
        raise RequestError(f"{len(binary) - at} bytes of binary data belong to no input; expected a binary_data_size for each.")
    return blobs


def _from_json(field: InputField, data: Any, size: int) -> npt.NDArray[Any]:
    if not isinstance(data, list):
        raise RequestError(f"{field.name}: data is {shown(data)}; expected a list, or binary_data_size.")
    nested = bool(data) and isinstance(data[0], list) and all(isinstance(each, list) for each in data)
    flat = list(chain.from_iterable(data)) if nested else data
    if len(flat) != size:
        raise ValuesError(f"{field.name}: {len(flat)} values; its shape says {size}.")
    types = set(map(type, flat))
    if not types <= TYPES[field.datatype]:
        at = next(at for at, value in enumerate(flat) if type(value) not in TYPES[field.datatype])
        kind = "text" if field.datatype == "BYTES" else "a number"
        raise ValuesError(f"{field.name}: value {at} is {shown(flat[at])}; expected {kind}, or null where it is missing.")
    if type(None) in types:
        missing = "" if field.datatype == "BYTES" else np.nan
        flat = [missing if value is None else value for value in flat]
    if field.datatype == "BYTES":
        return np.array(flat, object)
    if int in types and (large := [value for value in flat if type(value) is int and abs(value) > MOST_EXACT]):
        raise ValuesError(problem(field, large[0]))
    return np.array(flat, np.float64)


def _from_binary(field: InputField, datatype: str, blob: memoryview, size: int) -> npt.NDArray[Any]:
    if field.datatype == "BYTES":
        return np.array(list(_texts(field, blob, size)), object)
    kind = np.dtype(NUMBERS[datatype])
    if len(blob) != size * kind.itemsize:
        raise ValuesError(f"{field.name}: {len(blob)} bytes; {size} values of {datatype} take {size * kind.itemsize}.")
    values = np.frombuffer(blob, kind)
    if datatype == "INT64" and size and (values.max() > MOST_EXACT or values.min() < -MOST_EXACT):
        raise ValuesError(f"{field.name}: a whole number beyond 2^53, which FP64 does not hold exactly; expected smaller ones.")
    return values.astype(np.float64)


def _texts(field: InputField, blob: memoryview, size: int) -> Iterator[str]:
    at = 0
    for index in range(size):
        end = at + LENGTH.size
        length = LENGTH.unpack(blob[at:end])[0] if end <= len(blob) else len(blob)
        if end + length > len(blob):
            raise ValuesError(
                f"{field.name}: its bytes end within text {index} of {size}; expected 4 bytes of length before each."
            )
        try:
            yield str(blob[end : end + length], "utf-8")
        except UnicodeDecodeError as error:
            raise ValuesError(f"{field.name}: text {index} is no UTF-8 ({error.reason}).") from error
        at = end + length
    if at != len(blob):
        raise ValuesError(f"{field.name}: {len(blob) - at} bytes after its {size} texts; expected none.")


def output_names(output: OutputField) -> tuple[str, ...]:
    """The names of a model's outputs: the graph's, and of a model that carries a calibration the calibrated one."""
    return (OUTPUT, CALIBRATED) if output.calibration else (OUTPUT,)


def model_metadata(name: str, version: str, platform: str, schema: RowSchema, output: OutputField) -> dict[str, Any]:
    """The protocol's metadata of a model."""
    inputs = [
        {"name": field.name, "datatype": field.datatype, "shape": [-1] if field.length is None else [-1, field.length]}
        for field in schema.fields.values()
    ]
    shape = [-1] if output.outputs is None else [-1, output.outputs]
    outputs = [{"name": each, "datatype": "FP32", "shape": shape} for each in output_names(output)]
    return {"name": name, "versions": [version], "platform": platform, "inputs": inputs, "outputs": outputs}


def infer_response(
    model: str, version: str, id_: str | None, outputs: Mapping[str, bool], scores: Mapping[str, npt.NDArray[Any]]
) -> tuple[dict[str, Any], bytes | None]:
    """The protocol's answer as a JSON object, with the request's id, and the binary data that follows, if wanted.

    `outputs` are those that are wanted, each with whether in binary; `scores` has their values.
    """
    tensors, data = [], b""
    for name, binary in outputs.items():
        values = scores[name].astype("<f4")
        tensor: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(values.shape)}
        if binary:
            tensor["parameters"] = {"binary_data_size": values.nbytes}
            data += values.tobytes()
        else:
            tensor["data"] = values.reshape(-1).tolist()
        tensors.append(tensor)
    answer: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": tensors}
    if id_ is not None:
        answer["id"] = id_
    return answer, data if any(outputs.values()) else None
