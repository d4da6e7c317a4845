"""Calibration: scores mapped to probabilities that were right on validation, as data that any process can apply."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipelines.config import Model
from pipelines.errors import DataError
from pipelines.evaluation.curve import Curve, Floats
from pipelines.evaluation.metrics import FLOAT32_EPS

ROUNDS = 100
TOLERANCE = 1e-12


class IsotonicCalibration(Model):
    """The rising steps that fit validation best in the least squares sense: knots, joined by straight lines.

    Scores below the first knot and above the last one take its value.
    """

    method: Literal["isotonic"] = "isotonic"
    scores: tuple[float, ...]
    values: tuple[float, ...]

    def apply(self, scores: npt.NDArray[np.float32] | Floats) -> Floats:
        """Calibrated probabilities of scores, in the same shape."""
        values: Floats = np.interp(scores.astype(np.float64), self.scores, self.values)
        return values


class PlattCalibration(Model):
    """A logistic function of the score's logit: slope and intercept. Platt 1999."""

    method: Literal["platt"] = "platt"
    slope: float
    intercept: float

    def apply(self, scores: npt.NDArray[np.float32] | Floats) -> Floats:
        """Calibrated probabilities of scores, in the same shape."""
        return _logistic(self.slope * _logit(scores.astype(np.float64)) + self.intercept)


Calibration = Annotated[IsotonicCalibration | PlattCalibration, Field(discriminator="method")]


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
    logits, rows = _logit(curve.scores), curve.positives + curve.negatives
    design = np.stack([logits, np.ones_like(logits)])
    weights = np.array([1.0, 0.0])
    for _ in range(ROUNDS):
        predicted = _logistic(weights @ design)
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


def _logit(scores: Floats) -> Floats:
    inner = np.clip(scores, FLOAT32_EPS, 1 - FLOAT32_EPS)
    logits: Floats = np.log(inner) - np.log1p(-inner)
    return logits


def _logistic(values: Floats) -> Floats:
    probabilities: Floats = 0.5 * (1 + np.tanh(values / 2))
    return probabilities
