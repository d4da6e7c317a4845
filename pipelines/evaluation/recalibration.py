"""Calibration, fitted on validation: what any process applies is in `pipelines.bundles.calibration`."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipelines.bundles.calibration import IsotonicCalibration, PlattCalibration, logistic, logit
from pipelines.errors import DataError
from pipelines.evaluation.curve import Curve

ROUNDS = 100
TOLERANCE = 1e-12


def calibrate(method: Literal["isotonic", "platt"], validation: Curve) -> IsotonicCalibration | PlattCalibration:
    """Fit a calibration on the validation split's scores and labels.

    Raises DataError when validation has only one class.
    """
    if not validation.positives.sum() or not validation.negatives.sum():
        raise DataError(
            "evaluate.calibration: the validation split has only one class; expected both. Check features.split and the label."
        )
    return fit_isotonic(validation) if method == "isotonic" else fit_platt(validation)


def fit_isotonic(curve: Curve) -> IsotonicCalibration:
    """Pool neighbours that fall until none does, each pool a step (Barlow and others 1972); a step is two knots."""
    scores, positives = curve.scores[::-1], curve.positives[::-1]
    rows = positives + curve.negatives[::-1]
    pools: list[tuple[float, float, int]] = []  # positives, rows, and the last position
    for position, (hits, count) in enumerate(zip(positives.tolist(), rows.tolist(), strict=True)):
        pool = (hits, count, position)
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], position)
        pools.append(pool)
    knots: dict[float, float] = {}
    first = 0
    for hits, count, last in pools:
        knots |= {float(scores[first]): hits / count, float(scores[last]): hits / count}
        first = last + 1
    return IsotonicCalibration(scores=tuple(knots), values=tuple(knots.values()))


def fit_platt(curve: Curve) -> PlattCalibration:
    """Maximize the likelihood by Newton's method; a ridge too small to matter keeps the equations solvable."""
    logits, rows = logit(curve.scores), curve.positives + curve.negatives
    design = np.stack([logits, np.ones_like(logits)])
    weights = np.array([1.0, 0.0])
    for _ in range(ROUNDS):
        predicted = logistic(weights @ design)
        gradient = design @ (rows * predicted - curve.positives)
        curvature = (design * (rows * predicted * (1 - predicted))) @ design.T + np.eye(2) * TOLERANCE
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < TOLERANCE:
            break
    return PlattCalibration(slope=float(weights[0]), intercept=float(weights[1]))


def calibrated(curve: Curve, calibration: IsotonicCalibration | PlattCalibration) -> Curve:
    """The curve of calibrated scores: rows whose scores became equal are one point."""
    values, index = np.unique(calibration.apply(curve.scores), return_inverse=True)
    positives, negatives = (np.bincount(index, counts, len(values)) for counts in (curve.positives, curve.negatives))
    return Curve.of(values, positives, negatives)
