"""Metrics of a binary classifier from its score curve, in float64, as scikit-learn defines them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.config import Costs, EvaluateConfig
from pipelines.errors import DataError, QualityError
from pipelines.evaluation.curve import Curve, Floats
from pipelines.features.ranking import area_under_roc

FLOAT32_EPS = float(np.finfo(np.float32).eps)


class Confusion(NamedTuple):
    """Rows by truth and verdict at a threshold; a score of at least the threshold is a positive."""

    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float


def auc(curve: Curve) -> float:
    """Area under the ROC curve, see `area_under_roc`. Raises DataError when there is only one class."""
    area = area_under_roc(curve.negatives[::-1], curve.positives[::-1])
    if np.isnan(area):
        raise DataError("evaluation: AUC needs both classes; the split has only one. Check the split and the label.")
    return area


def average_precision(curve: Curve) -> float:
    """The mean of precision over recall's steps, without interpolation."""
    precision = curve.true_positives / (curve.true_positives + curve.false_positives)
    return float((precision * curve.positives).sum() / curve.positives.sum())


def log_loss(curve: Curve) -> float:
    """Mean negative log likelihood, in nats a row; scores are kept float32's epsilon away from 0 and 1."""
    scores = np.clip(curve.scores, FLOAT32_EPS, 1 - FLOAT32_EPS)
    return float(-(curve.positives * np.log(scores) + curve.negatives * np.log1p(-scores)).sum() / curve.rows)


def brier(curve: Curve) -> float:
    """Mean squared distance of score and truth."""
    return float((curve.positives * (1 - curve.scores) ** 2 + curve.negatives * curve.scores**2).sum() / curve.rows)


class Calibration(NamedTuple):
    """By bin of equal width: mean score, share of positives and rows; bins without rows are left out."""

    score: Floats
    share: Floats
    rows: npt.NDArray[Any]


def calibration(curve: Curve, bins: int) -> Calibration:
    """Cut [0, 1] into `bins` bins of equal width, each with its upper edge in the next one (1 in the last)."""
    index = np.minimum((curve.scores * bins).astype(int), bins - 1)
    weights = curve.positives + curve.negatives
    rows = np.bincount(index, weights, bins)
    score = np.bincount(index, weights * curve.scores, bins)
    positives = np.bincount(index, curve.positives, bins)
    filled = rows > 0
    return Calibration(score[filled] / rows[filled], positives[filled] / rows[filled], rows[filled])


def calibration_error(curve: Curve, bins: int) -> float:
    """Expected calibration error: mean over rows of |mean score - share of positives| of their bin (Guo et al. 2017)."""
    by_bin = calibration(curve, bins)
    return float((by_bin.rows * np.abs(by_bin.score - by_bin.share)).sum() / curve.rows)


def confusion(curve: Curve, threshold: float) -> Confusion:
    """Count rows by truth and verdict at a threshold."""
    chosen = curve.scores >= threshold
    tp, fp = curve.positives[chosen].sum(), curve.negatives[chosen].sum()
    return Confusion(*(float(n) for n in (tp, fp, curve.positives.sum() - tp, curve.negatives.sum() - fp)))


def best_f1_threshold(curve: Curve) -> float:
    """The score that as a threshold gives the greatest F1; the highest of several."""
    f1 = 2 * curve.true_positives / (curve.true_positives + curve.false_positives + curve.positives.sum())
    return float(curve.scores[np.argmax(f1)])


def cheapest_threshold(curve: Curve, costs: Costs) -> float:
    """The score that as a threshold costs least; the highest of several, and one above all scores where no verdict pays."""
    above_all = np.nextafter(curve.scores[0], np.inf)
    missed = curve.positives.sum() - np.concatenate([[0], curve.true_positives])
    total = costs.false_positive * np.concatenate([[0], curve.false_positives]) + costs.false_negative * missed
    return float(np.concatenate([[above_all], curve.scores])[np.argmin(total)])


def precise_threshold(curve: Curve, minimum: float) -> float:
    """The lowest score that as a threshold has at least a precision: it has the greatest recall of those.

    Raises QualityError when no score has it.
    """
    precision = curve.true_positives / (curve.true_positives + curve.false_positives)
    reached = np.flatnonzero(precision >= minimum)
    if not len(reached):
        raise QualityError(
            f"evaluate: no threshold has a precision of {minimum:g} on validation; the greatest is {precision.max():.4f}. "
            f"Lower evaluate.minimum_precision, or train a better model."
        )
    return float(curve.scores[reached[-1]])


def choose_threshold(curve: Curve, config: EvaluateConfig) -> tuple[float, str]:
    """The threshold that the configuration declares on a validation curve, and the reason for it in words."""
    if config.costs is not None:
        why = f"the least cost on validation: a false positive costs {config.costs.false_positive:g}, a false negative"
        return cheapest_threshold(curve, config.costs), f"{why} {config.costs.false_negative:g}"
    if config.minimum_precision is not None:
        why = f"the greatest recall with a precision of {config.minimum_precision:g} on validation"
        return precise_threshold(curve, config.minimum_precision), why
    return best_f1_threshold(curve), "the best F1 on validation"


def threshold_metrics(counts: Confusion) -> dict[str, float]:
    """Accuracy, precision, recall and F1; a ratio of nothing to nothing is 0."""
    tp, fp, fn, tn = counts
    return {
        "accuracy": (tp + tn) / (tp + fp + fn + tn),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
    }


def all_metrics(curve: Curve, threshold: float, bins: int) -> dict[str, float]:
    """Every metric by name, the confusion counts and the threshold among them."""
    counts = confusion(curve, threshold)
    return {
        "auc": auc(curve),
        "average_precision": average_precision(curve),
        "log_loss": log_loss(curve),
        "brier": brier(curve),
        "calibration_error": calibration_error(curve, bins),
        **threshold_metrics(counts),
        **counts._asdict(),
        "threshold": threshold,
        "rows": curve.rows,
    }
