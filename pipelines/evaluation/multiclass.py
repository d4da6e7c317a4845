"""Metrics of several classes from their confusion matrix, in float64, as scikit-learn defines them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]


def multiclass_metrics(confusion: Counts, losses: float) -> dict[str, float]:
    """Every metric by name. `confusion` counts rows by true (row) and predicted class (column), `losses` is the sum of the
    rows' negative log likelihoods, in nats.

    Macro averages are over the classes that occur, in truth or prediction; a ratio of nothing to nothing is 0.
    """
    rows = confusion.sum()
    right, true, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = (true + predicted) > 0
    precision, recall = (_ratio(right, whole)[occurs] for whole in (predicted, true))
    return {
        "accuracy": float(right.sum() / rows),
        "log_loss": losses / float(rows),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "macro_f1": float(_ratio(2 * right, true + predicted)[occurs].mean()),
        "rows": float(rows),
    }


def _ratio(part: Counts, whole: Counts) -> Counts:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)
