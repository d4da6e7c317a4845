"""Batches of examples, scored in Spark's Python workers.

NumPy and Arrow make the features, as they make those of the features table, and ONNX Runtime runs the network alone. So a word
is looked up once a dictionary instead of once a row, and a row that becomes no features is known before it is scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import BundleError
from pipelines.features.arrays import ArrowRows, numbers_of
from pipelines.features.batches import apply, sliced
from pipelines.features.columns import flat
from pipelines.features.fitted import FittedSpec
from pipelines.serving.batches import SCORES, score_columns
from pipelines.serving.bundle import Bundle
from pipelines.serving.scorers import Scorer
from pipelines.workers import forget_archives

RAW_SCORES = (*SCORES, "calibrated_score")


class ScoringModel(NamedTuple):
    """What a worker scores with: the bundle, the digest that it must have, and the least score of the second class."""

    uri: str
    digest: str
    threshold: float | None = None

    def load(self) -> Bundle:
        """The bundle, which a process loads once; raises BundleError when it is not the one of the digest."""
        return _load_once(self.uri, self.digest)


def score_raw_batches(
    batches: Iterator[pa.RecordBatch], model: ScoringModel, passed: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    """Batches of examples, with the model's inputs, to batches of their `passed` columns and `RAW_SCORES`.

    Rows that become no features are left out. A process loads a model once, when it meets the first row.
    """
    forget_archives()
    for batch in batches:
        if batch.num_rows:
            for rows in sliced([batch], model.load().spec):
                yield from _scored(rows, model, passed)


def _scored(rows: pa.RecordBatch, model: ScoringModel, passed: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """The rows that become features, with their scores; no batch where there are none."""
    bundle = model.load()
    features = apply(bundle.spec, ArrowRows(rows))
    types = bundle.spec.columns
    transformed = pa.RecordBatch.from_arrays(features.arrow(types), names=[*types])
    if features.refused:
        accepted = pa.array(features.accepted)
        rows, transformed = rows.filter(accepted), transformed.filter(accepted)
    if not rows.num_rows:
        return
    columns = _columns(bundle, _scores(model, rows, transformed), model.threshold)
    held = [rows.column(name) for name in passed]
    yield pa.RecordBatch.from_arrays([*held, *(columns[name] for name in RAW_SCORES)], names=[*passed, *RAW_SCORES])


def _scores(model: ScoringModel, rows: pa.RecordBatch, features: pa.RecordBatch) -> npt.NDArray[np.float32]:
    """The scores of rows, by their features or, where only that is a graph of ONNX, by their raw values."""
    bundle = model.load()
    if bundle.has_onnx and not bundle.has_network:
        return _raw_scorer(model.uri, model.digest).score(raw_arrays(rows, bundle.spec))
    return bundle.score_features(features)


def _columns(bundle: Bundle, scores: npt.NDArray[np.float32], threshold: float | None) -> dict[str, pa.Array]:
    """The columns `RAW_SCORES` of scores."""
    task = bundle.manifest["task"]["kind"]
    columns = score_columns(task, scores)
    calibrated = [None] * len(scores) if bundle.calibration is None else bundle.calibration.apply(scores)
    columns["calibrated_score"] = pa.array(calibrated, pa.float32())
    if task == "binary" and threshold is not None:
        columns["predicted"] = pc.greater_equal(columns["score"], pa.scalar(threshold, pa.float32())).cast(pa.float32())
    return columns


def raw_arrays(batch: pa.RecordBatch, spec: FittedSpec) -> dict[str, npt.NDArray[Any]]:
    """A model's inputs by name, an array (n, …) each: NaN or '' for null."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, kind in spec.inputs.items():
        column = batch.column(name)
        if kind.dtype == "string":
            words = pc.fill_null(column.cast(pa.string()), "")
            arrays[name] = words.to_numpy(zero_copy_only=False).astype(object, copy=False)
        elif kind.length is None:
            arrays[name], _ = numbers_of(column)
        else:
            arrays[name] = flat(column, np.float64)
    return arrays


@cache
def _load_once(uri: str, digest: str) -> Bundle:
    bundle = Bundle(uri)
    if bundle.digest != digest:
        raise BundleError(f"model {uri}: it has changed while rows were scored: SHA-256 {bundle.digest}, expected {digest}.")
    return bundle


@cache
def _raw_scorer(uri: str, digest: str) -> Scorer:
    return _load_once(uri, digest).scorer()
