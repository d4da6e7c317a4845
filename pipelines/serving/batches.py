"""Batches of the features table, scored in Spark's Python workers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.serving.bundle import Bundle
from pipelines.workers import forget_archives

SCORES = ("score", "predicted", "predictions")
SCORE_TYPES = (pa.float32(), pa.float32(), pa.list_(pa.float32()))


def score_batches(batches: Iterator[pa.RecordBatch], uri: str, passed: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Batches of the features table to batches of the `passed` columns and `SCORES`; a process loads a model once."""
    forget_archives()
    bundle = _load_once(uri)
    for batch in batches:
        scores = score_columns(bundle.manifest["task"]["kind"], bundle.score_features(batch))
        held = [batch.column(name) for name in passed]
        yield pa.RecordBatch.from_arrays([*held, *(scores[name] for name in SCORES)], names=[*passed, *SCORES])


def score_columns(task: str, scores: npt.NDArray[np.float32]) -> dict[str, pa.Array]:
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
    return Bundle(uri)
