"""A plain service of FastAPI around a SavedModel, as its documentation writes one: the peer of ours.

The inputs are a pydantic model, the route is a plain function, which FastAPI runs in its thread pool, and each request is a
call of the SavedModel. It has no limits, keys, metrics, logs or new models, which ours has.

`python -m benchmarks.serving_plain FOLDER` serves a published folder on a free port.
"""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model

from benchmarks.serving_model import input_fields

BACKLOG = 2048


class Prediction(BaseModel):
    """A class with its probability."""

    label: str = Field(serialization_alias="class")
    probability: float
    threshold: float


class OneAnswer(BaseModel):
    """The answer to one object."""

    model: str
    version: str
    prediction: Prediction


class ManyAnswers(BaseModel):
    """The answer to a list of objects."""

    model: str
    version: str
    predictions: list[Prediction]


class PlainModel:
    """The graph, and the types of its inputs."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf, self._model = tf, tf.saved_model.load(str(folder / "saved_model"))
        self._types = {field.name: tf.string if field.datatype == "BYTES" else tf.float64 for field in input_fields(folder)}
        output = json.loads((folder / "output_schema.json").read_text())
        self._classes, self._threshold = output["classes"], 0.5

    def predict(self, rows: list[dict[str, Any]]) -> list[Prediction]:
        """Score rows of named values in one call."""
        tensors = {
            name: self._tf.constant([row[name] for row in rows], dtype=kind, shape=[len(rows)])
            for name, kind in self._types.items()
        }
        threshold = self._threshold
        return [
            Prediction(label=self._classes[int(score >= threshold)], probability=score, threshold=threshold)
            for score in self._model.serve(tensors).numpy().tolist()
        ]


def build(folder: Path) -> FastAPI:
    """The application: `POST /predict`, and the protocol's readiness, for which the benchmark waits."""
    columns: dict[str, Any] = {field.name: (str if field.datatype == "BYTES" else float, ...) for field in input_fields(folder)}
    row_model: Any = create_model("Row", **columns)
    app, model = FastAPI(), PlainModel(folder)

    @app.get("/v2/models/benchmark/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    def predict(body: Any) -> OneAnswer | ManyAnswers:
        rows = [row.model_dump() for row in (body if isinstance(body, list) else [body])]
        answers = model.predict(rows)
        if isinstance(body, list):
            return ManyAnswers(model="benchmark", version="1", predictions=answers)
        return OneAnswer(model="benchmark", version="1", prediction=answers[0])

    predict.__annotations__["body"] = row_model | list[row_model]
    app.post("/predict", response_model=OneAnswer | ManyAnswers)(predict)
    return app


def main() -> None:
    """Serve a folder; the line that our service prints says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    app = build(parser.parse_args().folder)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        message = f"listening on http://127.0.0.1:{listener.getsockname()[1]} (plain FastAPI)"
        print(json.dumps({"message": message}), flush=True)
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None))
        server.run([listener])


if __name__ == "__main__":
    main()
