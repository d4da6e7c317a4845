"""Metrics of predicted numbers from sums over rows, in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]


class Errors(NamedTuple):
    """By step of the horizon, shape (steps,): values compared, and sums of the error (predicted less true), its magnitude and
    its square, of the label and its square.
    """

    rows: Sums
    error: Sums
    absolute: Sums
    squared: Sums
    label: Sums
    label_squared: Sums


def regression_metrics(errors: Errors) -> dict[str, float]:
    """Every metric by name, over all steps: mean absolute error, root of the mean square, bias (mean error), and R², the share
    of the label's variance about its mean that is explained. `rows` are those of one step.
    """
    values = float(errors.rows.sum())
    mean = errors.label.sum() / values
    spread = errors.label_squared.sum() - values * mean**2
    return {
        "mae": float(errors.absolute.sum() / values),
        "rmse": float(np.sqrt(errors.squared.sum() / values)),
        "bias": float(errors.error.sum() / values),
        "r2": float(1 - errors.squared.sum() / spread) if spread > 0 else float("nan"),
        "rows": float(errors.rows.max()),
    }
