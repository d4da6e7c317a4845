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

ROWS_AT_ONCE = 2048  # whose weights fit in the processor's cache


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
        self._last_score, self._last = np.nan, np.zeros((2, replicates))  # positives and negatives of the lowest score so far

    def add(self, rows: pa.RecordBatch, weights: Floats) -> None:
        """Add rows with their weights, shape (rows, replicates)."""
        scores = _numbers(rows, "score")
        positive = _numbers(rows, "label") > 0.5
        self._sums += self._per_row(scores, positive).T @ weights
        starts = np.flatnonzero(np.diff(scores, prepend=np.nan) != 0)
        first, last = (int(starts[1]) if len(starts) > 1 else len(scores)), int(starts[-1])
        if scores[0] == self._last_score:
            self._last += _by_class(weights[:first], positive[:first])
            if len(starts) == 1:
                return
        else:
            first = 0
        self._rank(self._last[:1], self._last[1:], np.zeros_like(self._last[1:]))
        if first < last:
            self._rank_rows(weights[first:last], positive[first:last], starts[(starts >= first) & (starts < last)] - first)
        self._last_score, self._last = float(scores[-1]), _by_class(weights[last:], positive[last:])

    def metrics(self) -> dict[str, Floats]:
        """Every metric by name, shape (replicates,); NaN where a replicate does not define it."""
        self._rank(self._last[:1], self._last[1:], np.zeros_like(self._last[1:]))
        self._last = np.zeros_like(self._last)
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
        row, bins = np.arange(len(scores)), np.minimum((scores * self._bins).astype(int), self._bins - 1)
        for index, value in enumerate((1.0, scores, positive)):
            values[row, 4 + index * self._bins + bins] = value
        return values

    def _rank_rows(self, weights: Floats, positive: npt.NDArray[np.bool_], starts: npt.NDArray[np.int64]) -> None:
        """Add whole groups of rows of one score each, which begin at `starts`, below all that came before.

        Only groups with a positive are steps of the curve; the negatives between two of them are summed first, since most
        rows are negatives as a rule.
        """
        group = np.cumsum(np.bincount(starts, minlength=len(positive))) - 1
        hit = np.flatnonzero(np.bincount(group, positive, len(starts)))
        if not len(hit):
            self._negatives = self._negatives + weights.sum(axis=0)
            self._pairs = self._pairs + weights.sum(axis=0) * self._positives
            return
        ends = np.append(starts[1:], len(positive))
        bounds = np.append(np.stack([starts[hit], ends[hit]], axis=1).ravel(), len(positive))
        sums = _sums_between(weights, np.concatenate([[0], bounds]))
        first_of_group = np.flatnonzero(np.diff(group[positive], prepend=-1))
        true = np.add.reduceat(weights[positive], first_of_group, axis=0)
        before, tied, after = sums[:-1:2], sums[1::2] - true, sums[-1]
        self._rank(true, tied, before)
        self._pairs = self._pairs + after * self._positives
        self._negatives = self._negatives + after

    def _rank(self, positives: Floats, negatives: Floats, before: Floats) -> None:
        """Add groups of rows of one score each, shape (groups, replicates), and the negatives just before each group."""
        true = self._positives + np.cumsum(positives, axis=0)
        false = self._negatives + np.cumsum(before + negatives, axis=0)
        self._pairs = (
            self._pairs
            + np.einsum("gr,gr->r", negatives + before, true)
            - np.einsum("gr,gr->r", negatives / 2 + before, positives)
        )
        # Weights are whole numbers: where none is chosen there are no positives either, and any precision will do.
        self._precision = self._precision + np.einsum("gr,gr->r", positives, true / np.maximum(true + false, 1))
        self._positives, self._negatives = true[-1], false[-1]

    def _miscalibrated(self) -> Floats:
        _, scores, positives = self._sums[4:].reshape(3, self._bins, -1)
        gaps: Floats = np.abs(scores - positives).sum(axis=0)
        return gaps


class MulticlassReplicates:
    """Metrics of several classes, from rows in any order with `label`, `predicted` and `loss` (nats)."""

    def __init__(self, replicates: int, classes: int) -> None:
        """Start with no rows, for so many replicates and classes."""
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
    """Metrics of numbers, from rows in any order with lists `true` and `predicted`; a row's steps are drawn together."""

    def __init__(self, replicates: int) -> None:
        """Start with no rows, for so many replicates."""
        self._sums = np.zeros((len(Errors._fields), replicates))

    def add(self, rows: pa.RecordBatch, weights: Floats) -> None:
        """Add rows with their weights, shape (rows, replicates)."""
        parents = rows.column("true").value_parent_indices().to_numpy()
        true, predicted = (
            rows.column(name).flatten().to_numpy(zero_copy_only=False).astype(float) for name in ("true", "predicted")
        )
        present = np.isfinite(true) & np.isfinite(predicted)
        true, error = true[present], (predicted - true)[present]
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


def _by_class(weights: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    """Weights of positives and of negatives, shape (2, replicates)."""
    return np.stack([weights[positive].sum(axis=0), weights[~positive].sum(axis=0)])


def _sums_between(weights: Floats, bounds: npt.NDArray[np.int64]) -> Floats:
    """Sums of the rows from each bound to the next, shape (bounds - 1, replicates); 0 where two bounds are one."""
    starts, filled = bounds[:-1], np.diff(bounds) > 0
    sums = np.zeros((len(starts), weights.shape[1]))
    sums[filled] = np.add.reduceat(weights, starts[filled], axis=0)
    return sums


def _add_by_class(sums: Floats, classes: npt.NDArray[np.int64], weights: Floats) -> None:
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    if len(present):
        sums[present] += np.add.reduceat(weights[order], starts, axis=0)


def _ratio(part: npt.NDArray[Any], total: npt.NDArray[Any], empty: float = np.nan) -> Floats:
    return np.divide(part, total, out=np.full_like(total, empty, dtype=np.float64), where=total > 0)
