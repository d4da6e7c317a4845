"""Metrics of several classes from their confusion matrix, in float64, as scikit-learn defines them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]


def multiclass_metrics(confusion: Counts, losses: float) -> dict[str, float]:
    """Every metric by name. `confusion` counts rows by true (row) and predicted class (column), `losses` is the sum of the
    rows' negative log likelihoods, in nats.

    Macro averages are over the classes that occur, in truth or prediction; a ratio of nothing to nothing is 0.
    """
    right, true, predicted = (c[:, None] for c in (confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)))
    metrics = class_metrics(right, true, predicted, np.array([losses]))
    return {name: float(values[0]) for name, values in metrics.items()} | {"rows": float(confusion.sum())}


def class_metrics(right: Counts, true: Counts, predicted: Counts, losses: Counts) -> dict[str, Counts]:
    """The same of several samples at once, shape (samples,) each: from rows by class and sample, shape (classes, samples), that
    are predicted rightly, are of the class, and are predicted to be; and each sample's summed losses, shape (samples,).
    """
    rows = true.sum(axis=0)
    occurs = (true + predicted) > 0
    precision, recall, f1 = _ratio(right, predicted), _ratio(right, true), _ratio(2 * right, true + predicted)
    macro = {"macro_precision": precision, "macro_recall": recall, "macro_f1": f1}
    return {
        "accuracy": _ratio(right.sum(axis=0), rows, empty=np.nan),
        "log_loss": _ratio(losses, rows, empty=np.nan),
        **{name: _ratio((values * occurs).sum(axis=0), occurs.sum(axis=0), empty=np.nan) for name, values in macro.items()},
    }


def _ratio(part: Counts, total: npt.NDArray[Any], empty: float = 0.0) -> Counts:
    return np.divide(part, total, out=np.full_like(part, empty, dtype=np.float64), where=total > 0)
