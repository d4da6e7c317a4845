"""The benchmarked model, the bodies of requests to it, and how long each library takes for a call."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bundles.signature import InputField
from pipelines.features.fitted import FittedCategorical, FittedNumeric, FittedSpec

NUMBERS, WORDS, VOCABULARY = 26, 4, 100
CALL_ROWS = (1, 32, 256)
CALLS_SECONDS = 1.0
LIBRARIES = ("onnx", "savedmodel", "keras")


def export_model(folder: Path) -> None:
    """Publish a network of the flights' size (26 numbers, 4 words) with weights of no meaning."""
    import keras

    from pipelines.bundles.signature import input_schema
    from pipelines.config import Network
    from pipelines.training.export import Description, export
    from pipelines.training.networks import build_network
    from pipelines.training.tasks import BinaryHead

    scaling: dict[str, Any] = {"fill": 0.0, "clip": None, "log1p": False, "offset": 1.0, "scale": 2.0}
    words = tuple(f"word{at}" for at in range(VOCABULARY))
    numbers = [FittedNumeric(name=f"number{at}", **scaling) for at in range(NUMBERS)]
    spec = FittedSpec(features=(*numbers, *(FittedCategorical(name=f"word{at}", vocabulary=words) for at in range(WORDS))))
    keras.utils.set_random_seed(1)
    network = build_network(Network.model_validate({"hidden": [128, 64], "embedding_size": 8}), spec)
    facts = {"run_id": "benchmark", "pipeline": "benchmark", "task": {"kind": "binary", "classes": ["no", "yes"]}}
    examples = {field.name: f"{field.name}" if field.datatype == "BYTES" else 1.25 for field in input_schema(spec)}
    fields = tuple(field.model_copy(update={"example": examples[field.name]}) for field in input_schema(spec))
    export(network, spec, BinaryHead(), facts, str(folder), description=Description(fields))


def input_fields(model: Path) -> list[InputField]:
    """A model's inputs; each has an example."""
    return [InputField.model_validate(field) for field in json.loads((model / "input_schema.json").read_text())]


def named_body(fields: list[InputField], rows: int) -> bytes:
    """The examples as named values: one object, or a list of some."""
    row = {field.name: _named(field) for field in fields}
    return json.dumps(row if rows == 1 else [row] * rows).encode()


def _named(field: InputField) -> object:
    if field.type == "boolean" and field.example is not None:
        return bool(field.example)
    return field.example


def tensor_body(fields: list[InputField], rows: int) -> bytes:
    """The examples as tensors of the Open Inference Protocol."""
    tensors = [
        {"name": field.name, "datatype": field.datatype, "shape": [rows], "data": [field.example] * rows} for field in fields
    ]
    return json.dumps({"inputs": tensors}).encode()


def call_milliseconds(model: Path) -> dict[str, dict[int, float]]:
    """The median of one call's milliseconds by library and rows, each library in a process of its own."""
    seconds = {}
    for library in LIBRARIES:
        command = [sys.executable, "-m", "benchmarks.serving_model", library, str(model)]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
        seconds[library] = {int(rows): took for rows, took in json.loads(done.stdout.splitlines()[-1]).items()}
    return seconds


def main() -> None:
    """Time the calls of one library."""
    from benchmarks.serving_services import scorers
    from pipelines.serving.bundle import Bundle
    from pipelines.serving.rows import RowSchema
    from pipelines.serving.served import filler_rows

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("model")
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.model)
    scorer, schema = scorers()[arguments.library](bundle), RowSchema(bundle.input_schema)
    medians = {}
    for rows in CALL_ROWS:
        values, durations = schema.inputs(filler_rows(schema, rows)), []
        scorer.score(values)
        ends = time.perf_counter() + CALLS_SECONDS
        while (started := time.perf_counter()) < ends:
            scorer.score(values)
            durations.append(time.perf_counter() - started)
        medians[rows] = float(np.median(durations)) * 1000
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
