"""Metrics of predicted numbers from sums over rows, in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Sums = npt.NDArray[np.float64]


class Errors(NamedTuple):
    """By step of the horizon, shape (steps,): values compared, and sums of the error (predicted less true), its magnitude and
    its square, of the label and its square; and how many labels are at most the predicted number.
    """

    rows: Sums
    error: Sums
    absolute: Sums
    squared: Sums
    label: Sums
    label_squared: Sums
    covered: Sums = np.array(np.nan)


def regression_metrics(errors: Errors) -> dict[str, float]:
    """Every metric by name, over all steps: mean absolute error, root of the mean square, bias (mean error), R², the share of
    the label's variance about its mean that is explained, and coverage, the share of labels that are at most the predicted
    number (of a quantile loss: its quantile, where the model is right). `rows` are those of one step.
    """
    metrics = number_metrics(Errors(*(np.atleast_1d(values.sum()) for values in errors)))
    return {name: float(values[0]) for name, values in metrics.items()} | {"rows": float(errors.rows.max())}


def number_metrics(errors: Errors) -> dict[str, Sums]:
    """The same of several samples at once, shape (samples,) each, from sums over all steps of each sample."""
    rows = np.where(errors.rows > 0, errors.rows, np.nan)
    mean = errors.label / rows
    spread = errors.label_squared - rows * mean**2
    explained = np.divide(errors.squared, spread, out=np.full_like(rows, np.nan), where=spread > 0)
    return {
        "mae": errors.absolute / rows,
        "rmse": np.sqrt(errors.squared / rows),
        "bias": errors.error / rows,
        "r2": 1 - explained,
        "coverage": errors.covered / rows,
    }
