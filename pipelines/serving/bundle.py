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

from pipelines.columns import network_inputs
from pipelines.errors import ExternalError
from pipelines.fitted import FittedSpec
from pipelines.lean import import_keras
from pipelines.storage import fetch_folder
from pipelines.workers import forget_archives

SCORES = ("score", "predicted", "predictions")
SCORE_TYPES = (pa.float32(), pa.float32(), pa.list_(pa.float32()))


class Bundle:
    """One exported model. Raises ExternalError when the folder is not one."""

    def __init__(self, uri: str) -> None:
        import tensorflow as tf  # three seconds, which only those who score shall wait for

        self._folder = tempfile.TemporaryDirectory(prefix="ringmill-model-")
        try:
            local = fetch_folder(uri, Path(self._folder.name))
            self.manifest: dict[str, Any] = json.loads((local / "manifest.json").read_text(encoding="utf-8"))
            if missing := sorted({*FittedSpec.model_fields, "task"} - set(self.manifest)):
                raise ExternalError(
                    f"model {uri}: its manifest lacks {', '.join(missing)}: another version exported it. Train again."
                )
            self._model: Any = tf.saved_model.load(str(local / "saved_model"))
        except OSError as error:
            raise ExternalError(f"model {uri}: can't be loaded ({error}). Train one first, or mend the path.") from error
        self._tf = tf
        self.spec = FittedSpec.model_validate({name: self.manifest[name] for name in FittedSpec.model_fields})

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Probabilities (n,) or (n, classes), or numbers (n,) or (n, horizon), from raw values: an array (n, …) an input of
        `spec`, NaN or '' where missing.
        """
        kinds = self.spec.inputs
        tensors = {name: self._tf.constant(values[name], self._tf.as_dtype(kind.dtype)) for name, kind in kinds.items()}
        scores: npt.NDArray[np.float32] = self._model.serve(tensors).numpy()
        return scores

    def score_features(self, batch: pa.RecordBatch) -> npt.NDArray[np.float32]:
        """The same of rows of the features table."""
        taken = dict(zip(self.spec.taken, network_inputs(batch, self.spec), strict=True))
        scores: npt.NDArray[np.float32] = self._model.score_features(taken).numpy()
        return scores


def score_batches(batches: Iterator[pa.RecordBatch], uri: str, kept: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Batches of the features table to batches of the `kept` columns and `SCORES`; a process loads a model once."""
    forget_archives()
    bundle = _load_once(uri)
    for batch in batches:
        scores = _columns(bundle.manifest["task"]["kind"], bundle.score_features(batch))
        held = [batch.column(name) for name in kept]
        yield pa.RecordBatch.from_arrays([*held, *(scores[name] for name in SCORES)], names=[*kept, *SCORES])


def _columns(task: str, scores: npt.NDArray[np.float32]) -> dict[str, pa.Array]:
    """Scores (n,) or (n, several) as columns: what a task does not have is null."""
    whole = dict(zip(SCORES, (pa.nulls(len(scores), kind) for kind in SCORE_TYPES), strict=True))
    if scores.ndim > 1:
        offsets = np.arange(0, scores.size + 1, scores.shape[1], dtype=np.int32)
        whole["predictions"] = pa.ListArray.from_arrays(offsets, pa.array(scores.reshape(-1)))
    elif task == "binary":
        whole["score"] = pa.array(scores)
    else:
        whole["predicted"] = pa.array(scores)
    if task == "multiclass":
        whole["score"] = pa.array(scores.max(axis=1))
        whole["predicted"] = pa.array(scores.argmax(axis=1).astype(np.float32))
    return whole


@cache
def _load_once(uri: str) -> Bundle:
    import_keras()
    return Bundle(uri)
