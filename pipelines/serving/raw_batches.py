"""Batches of raw values, scored in Spark's Python workers by ONNX Runtime, or by TensorFlow without an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.columns import flat
from pipelines.errors import BundleError
from pipelines.features.batches import sliced
from pipelines.fitted import FittedSpec
from pipelines.serving.batches import SCORES, score_columns
from pipelines.serving.bundle import Bundle
from pipelines.serving.scorers import Scorer
from pipelines.workers import forget_archives
from schemas.names import internal

RAW_SCORES = (*SCORES, "calibrated_score")


class ScoringModel(NamedTuple):
    """What a worker scores with: the bundle, the digest that it must have, and the least score of the second class."""

    uri: str
    digest: str
    threshold: float | None = None


def score_raw_batches(
    batches: Iterator[pa.RecordBatch], model: ScoringModel, kept: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    """Batches of raw values, each input of the model under the name of a working column, to batches of the `kept` columns and
    `RAW_SCORES`. A process loads a model once, when it meets the first row.
    """
    forget_archives()
    for batch in batches:
        if batch.num_rows:
            bundle, scorer = _load_once(model.uri, model.digest)
            for part in sliced([batch], bundle.spec):
                yield _scored(part, bundle, scorer, model.threshold, kept)


def _scored(
    batch: pa.RecordBatch, bundle: Bundle, scorer: Scorer, threshold: float | None, kept: tuple[str, ...]
) -> pa.RecordBatch:
    task = bundle.manifest["task"]["kind"]
    scores = scorer.score(raw_arrays(batch, bundle.spec))
    columns = score_columns(task, scores)
    columns["calibrated_score"] = pa.array(
        [None] * len(scores) if bundle.calibration is None else bundle.calibration.apply(scores), pa.float32()
    )
    if task == "binary" and threshold is not None:
        columns["predicted"] = pc.greater_equal(columns["score"], pa.scalar(threshold, pa.float32())).cast(pa.float32())
    held = [batch.column(name) for name in kept]
    return pa.RecordBatch.from_arrays([*held, *(columns[name] for name in RAW_SCORES)], names=[*kept, *RAW_SCORES])


def raw_arrays(batch: pa.RecordBatch, spec: FittedSpec) -> dict[str, npt.NDArray[Any]]:
    """A model's inputs by name, an array (n, …) each: NaN or '' for null."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, kind in spec.inputs.items():
        column = batch.column(internal(name))
        if kind.dtype == "string":
            arrays[name] = pc.fill_null(column, "").to_numpy(zero_copy_only=False).astype(object, copy=False)
        elif kind.length is None:
            arrays[name] = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        else:
            arrays[name] = flat(column, np.float64)
    return arrays


@cache
def _load_once(uri: str, digest: str) -> tuple[Bundle, Scorer]:
    bundle = Bundle(uri)
    if bundle.digest != digest:
        raise BundleError(f"model {uri}: it has changed while rows were scored: SHA-256 {bundle.digest}, expected {digest}.")
    return bundle, bundle.scorer()
