"""Permutation importance: how much worse a model is on rows whose values of one feature are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.config import LOWER_IS_BETTER, Binary, Multiclass, Task
from pipelines.evaluation.replicates import BinaryReplicates, MulticlassReplicates, RegressionReplicates
from pipelines.evaluation.verdict import PRIMARY
from pipelines.features.fitted import FittedFeature

REPEATS = 3
Scorer = Callable[[pa.RecordBatch], pa.RecordBatch]


class Importance(NamedTuple):
    """By how much the primary metric is worse without a feature: the mean over shuffles, and their population deviation."""

    feature: str
    loss: float
    deviation: float


def importance_of(
    feature: FittedFeature, rows: pa.RecordBatch, unshuffled_metric: float, task: Task, score: Scorer, *, seed: int = 0
) -> Importance:
    """Shuffle one feature's columns together, `REPEATS` times. Breiman 2001, section 10.

    `rows` are of the features table, with `label`; `unshuffled_metric` is their metric; `score` adds the columns score,
    predicted and predictions.
    """
    sign = -1 if PRIMARY[task.kind] in LOWER_IS_BETTER else 1
    losses = []
    for repeat in range(REPEATS):
        order = np.random.default_rng([seed, repeat]).permutation(rows.num_rows)
        losses.append(sign * (unshuffled_metric - primary_metric(score(_shuffled(rows, feature.outputs, order)), task)))
    return Importance(feature.name, float(np.mean(losses)), float(np.std(losses)))


def primary_metric(scored: pa.RecordBatch, task: Task) -> float:
    """The primary metric of scored rows."""
    ones = np.ones((scored.num_rows, 1))
    if isinstance(task, Binary):
        binary = BinaryReplicates(1, threshold=0.5, bins=2)
        binary.add(scored.sort_by([("score", "descending")]), ones)
        return float(binary.metrics()["auc"][0])
    if isinstance(task, Multiclass):
        classes = MulticlassReplicates(1, len(task.classes))
        classes.add(_with(scored, {"loss": pa.array(np.zeros(scored.num_rows))}), ones)
        return float(classes.metrics()["accuracy"][0])
    numbers = RegressionReplicates(1)
    steps = pa.types.is_list(scored.schema.field("label").type)
    true, predicted = (scored.column("label"), scored.column("predictions" if steps else "predicted"))
    numbers.add(
        _with(scored, {"true": true if steps else _lists(true), "predicted": predicted if steps else _lists(predicted)}), ones
    )
    return float(numbers.metrics()["mae"][0])


def _shuffled(rows: pa.RecordBatch, columns: Sequence[str], order: npt.NDArray[np.int64]) -> pa.RecordBatch:
    return _with(rows, {name: rows.column(name).take(pa.array(order)) for name in columns})


def _with(rows: pa.RecordBatch, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    existing = dict(zip(rows.schema.names, rows.columns, strict=True))
    return pa.RecordBatch.from_pydict({**existing, **columns})


def _lists(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32), values)
