"""Confidence intervals by the Poisson bootstrap, from the metrics of each replicate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipelines.errors import DataError
from pipelines.evaluation.curve import Floats


class ConfidenceInterval(NamedTuple):
    """An estimate from the rows themselves, and the bounds between which most replicates lie."""

    estimate: float
    low: float
    high: float


class Replicates(NamedTuple):
    """Metrics of one model's predictions: each by name, shape (1 + replicates,), that of the rows themselves first.

    A metric that a replicate does not define, such as the AUC of one class, is NaN there. `rows` and `checksum` (over row ids
    and labels, in any order) identify what was predicted.
    """

    metrics: Mapping[str, Floats]
    rows: int
    checksum: int


def confidence_interval(values: Floats, confidence: float = 0.95) -> ConfidenceInterval:
    """The interval by the percentile method: `values` are those of the rows themselves, then of each replicate.

    Bounds are NaN where no replicate defines the metric. Efron and Tibshirani 1993, section 13.3.
    """
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return ConfidenceInterval(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return ConfidenceInterval(float(values[0]), float(low), float(high))


def paired_difference(
    champion: Replicates, challenger: Replicates, metric: str, confidence: float = 0.95
) -> ConfidenceInterval:
    """The interval of the challenger's metric less the champion's, over replicates that weigh rows alike.

    Raises DataError when the two did not predict the same labels of the same rows.
    """
    if (champion.rows, champion.checksum) != (challenger.rows, challenger.checksum):
        raise DataError(
            f"evaluate: two models can be compared on the same labelled rows only; the champion predicted {champion.rows:,} "
            f"rows and the challenger {challenger.rows:,}, with other row ids or labels. Score both on one snapshot of the "
            f"features."
        )
    return confidence_interval(challenger.metrics[metric] - champion.metrics[metric], confidence)
