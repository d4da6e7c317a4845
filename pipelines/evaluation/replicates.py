"""Metrics of bootstrap replicates, all at once, from rows that arrive in parts: memory grows with replicates, not with rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.evaluation.curve import Floats
from pipelines.evaluation.metrics import FLOAT32_EPS
from pipelines.evaluation.multiclass import class_metrics
from pipelines.evaluation.regression import Errors, number_metrics

ROWS_AT_ONCE = 512  # whose weights fit in the processor's cache


class Accumulator(Protocol):
    """What adds up one model's rows, weighted once a replicate, and makes metrics of the sums."""

    def add(self, rows: pa.RecordBatch, weights: Floats) -> None:
        """Add rows with their weights, shape (rows, replicates)."""

    def metrics(self) -> dict[str, Floats]:
        """Every metric by name, shape (replicates,); NaN where a replicate does not define it."""


class BinaryReplicates:
    """Metrics of a binary classifier. Rows come in falling order of their score: equal scores may be cut by parts."""

    def __init__(self, replicates: int, threshold: float, bins: int) -> None:
        """Start with no rows; `threshold` and `bins` are those of `all_metrics`."""
        self._threshold, self._bins = threshold, bins
        self._sums = np.zeros((4 + 3 * bins, replicates))
        self._positives, self._negatives, self._pairs, self._precision = np.zeros((4, replicates))
        self._last_score = np.nan
        self._pending = np.zeros((2, 1, replicates))

    def add(self, rows: pa.RecordBatch, weights: Floats) -> None:
        """Add rows with their weights, shape (rows, replicates)."""
        scores = _numbers(rows, "score")
        positive = _numbers(rows, "label") > 0.5
        self._sums += self._per_row(scores, positive).T @ weights
        starts = np.flatnonzero(np.diff(scores, prepend=np.nan) != 0)
        positives = weights * positive.astype(np.float64)[:, None]
        ties = np.stack([positives, weights - positives])
        if len(starts) < len(scores):
            ties = np.add.reduceat(ties, starts, axis=1)
        if scores[0] == self._last_score:
            ties[:, :1] += self._pending
        else:
            ties = np.concatenate([self._pending, ties], axis=1)
        self._last_score, self._pending = float(scores[-1]), ties[:, -1:].copy()
        self._rank(*ties[:, :-1])

    def metrics(self) -> dict[str, Floats]:
        """Every metric by name, shape (replicates,); NaN where a replicate does not define it."""
        self._rank(*self._pending)
        self._pending = np.zeros_like(self._pending)
        losses, squares, tp, fp = self._sums[:4]
        fn, tn = self._positives - tp, self._negatives - fp
        rows = self._positives + self._negatives
        return {
            "auc": _ratio(self._pairs, self._positives * self._negatives),
            "average_precision": _ratio(self._precision, self._positives),
            "log_loss": _ratio(losses, rows),
            "brier": _ratio(squares, rows),
            "calibration_error": _ratio(self._miscalibrated(), rows),
            "accuracy": _ratio(tp + tn, rows),
            "precision": _ratio(tp, tp + fp, empty=0),
            "recall": _ratio(tp, tp + fn, empty=0),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn, empty=0),
        }

    def _per_row(self, scores: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
        """What is summed: log loss, squared distance, true and false positives; by bin of the score rows, scores, positives."""
        inner = np.clip(scores, FLOAT32_EPS, 1 - FLOAT32_EPS)
        values = np.zeros((len(scores), len(self._sums)))
        values[:, 0] = -np.where(positive, np.log(inner), np.log1p(-inner))
        values[:, 1] = (positive - scores) ** 2
        chosen = scores >= self._threshold
        values[:, 2], values[:, 3] = chosen & positive, chosen & ~positive
        each, bins = np.arange(len(scores)), np.minimum((scores * self._bins).astype(int), self._bins - 1)
        for index, value in enumerate((1.0, scores, positive)):
            values[each, 4 + index * self._bins + bins] = value
        return values

    def _rank(self, positives: Floats, negatives: Floats) -> None:
        """Add groups of rows of one score each, shape (groups, replicates), below all that came before."""
        true = self._positives + np.cumsum(positives, axis=0)
        false = self._negatives + np.cumsum(negatives, axis=0)
        self._pairs += np.einsum("gr,gr->r", negatives, true - positives / 2)
        # Weights are whole numbers: where none is chosen there are no positives either, and any precision will do.
        self._precision += np.einsum("gr,gr->r", positives, true / np.maximum(true + false, 1))
        if len(true):
            self._positives, self._negatives = true[-1], false[-1]

    def _miscalibrated(self) -> Floats:
        _, scores, positives = self._sums[4:].reshape(3, self._bins, -1)
        gaps: Floats = np.abs(scores - positives).sum(axis=0)
        return gaps


class MulticlassReplicates:
    """Metrics of several classes, from rows in any order with `label`, `predicted` and `loss` (nats)."""

    def __init__(self, replicates: int, classes: int) -> None:
        """Start with no rows."""
        self._right, self._true, self._predicted = (np.zeros((classes, replicates)) for _ in range(3))
        self._losses = np.zeros(replicates)

    def add(self, rows: pa.RecordBatch, weights: Floats) -> None:
        """Add rows with their weights, shape (rows, replicates)."""
        labels, predicted = (_numbers(rows, name).astype(int) for name in ("label", "predicted"))
        self._losses += _numbers(rows, "loss") @ weights
        right = labels == predicted
        _add_by_class(self._true, labels, weights)
        _add_by_class(self._predicted, predicted, weights)
        _add_by_class(self._right, labels[right], weights[right])

    def metrics(self) -> dict[str, Floats]:
        """Every metric by name, shape (replicates,); NaN where a replicate does not define it."""
        return class_metrics(self._right, self._true, self._predicted, self._losses)


class RegressionReplicates:
    """Metrics of numbers, from rows in any order with lists `true` and `said`; a row's steps are drawn together."""

    def __init__(self, replicates: int) -> None:
        """Start with no rows."""
        self._sums = np.zeros((len(Errors._fields), replicates))

    def add(self, rows: pa.RecordBatch, weights: Floats) -> None:
        """Add rows with their weights, shape (rows, replicates)."""
        parents = rows.column("true").value_parent_indices().to_numpy()
        true, said = (rows.column(name).flatten().to_numpy(zero_copy_only=False).astype(float) for name in ("true", "said"))
        present = np.isfinite(true) & np.isfinite(said)
        true, error = true[present], (said - true)[present]
        values = (np.ones_like(true), error, np.abs(error), error**2, true, true**2, error >= 0)
        by_row = np.stack([np.bincount(parents[present], value, rows.num_rows) for value in values])
        self._sums += by_row @ weights

    def metrics(self) -> dict[str, Floats]:
        """Every metric by name, shape (replicates,); NaN where a replicate does not define it."""
        return number_metrics(Errors(*self._sums))


def parts(batch: pa.RecordBatch, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
    """The rows from `start` to `stop` of a batch, in parts whose weights fit in the processor's cache."""
    end = batch.num_rows if stop is None else stop
    for first in range(start, end, ROWS_AT_ONCE):
        yield batch.slice(first, min(ROWS_AT_ONCE, end - first))


def _numbers(rows: pa.RecordBatch, name: str) -> Floats:
    numbers: Floats = rows.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers


def _add_by_class(sums: Floats, classes: npt.NDArray[np.int64], weights: Floats) -> None:
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    if len(present):
        sums[present] += np.add.reduceat(weights[order], starts, axis=0)


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any], empty: float = np.nan) -> Floats:
    return np.divide(part, whole, out=np.full_like(whole, empty, dtype=np.float64), where=whole > 0)
