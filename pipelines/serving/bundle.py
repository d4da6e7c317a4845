"""An exported model, loaded for scoring: raw values or the features table's columns in, probabilities out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.columns import matrix
from pipelines.errors import ExternalError
from pipelines.fitted import FittedSpec
from pipelines.storage import fetch_folder


class Bundle:
    """One exported model. Raises ExternalError when the folder is not one."""

    def __init__(self, uri: str) -> None:
        import tensorflow as tf  # three seconds, which only those who score shall wait for

        self._folder = tempfile.TemporaryDirectory(prefix="ringmill-model-")
        try:
            local = fetch_folder(uri, Path(self._folder.name))
            self.manifest: dict[str, Any] = json.loads((local / "manifest.json").read_text(encoding="utf-8"))
            self._model: Any = tf.saved_model.load(str(local / "saved_model"))
        except OSError as error:
            raise ExternalError(f"model {uri}: can't be loaded ({error}). Train one first, or mend the path.") from error
        self._tf = tf
        self.spec = FittedSpec.model_validate({"features": self.manifest["features"]})

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Probabilities (n,) from raw values, an array (n,) an input of `spec`: NaN or '' where missing."""
        types = self.spec.inputs
        tensors = {name: self._tf.constant(values[name], self._tf.as_dtype(kind)) for name, kind in types.items()}
        scores: npt.NDArray[np.float32] = self._model.serve(tensors).numpy()
        return scores

    def score_features(self, batch: pa.RecordBatch) -> npt.NDArray[np.float32]:
        """Probabilities (n,) of rows of the features table."""
        numbers = matrix(batch, self.spec.numbers, np.float32)
        ids = matrix(batch, self.spec.ids, np.int32)
        scores: npt.NDArray[np.float32] = self._model.score_features(numbers, ids).numpy()
        return scores


def score_batches(batches: Iterator[pa.RecordBatch], uri: str, kept: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Batches of the features table to batches of the `kept` columns and `score`; a process loads a model once."""
    bundle = _load_once(uri)
    for batch in batches:
        score = pa.array(bundle.score_features(batch), pa.float32())
        yield pa.RecordBatch.from_arrays([*(batch.column(name) for name in kept), score], names=[*kept, "score"])


@cache
def _load_once(uri: str) -> Bundle:
    return Bundle(uri)
