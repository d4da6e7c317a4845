"""Calibration carried in a model's folder: scores mapped to probabilities that were right on validation, as plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipelines.bundles.manifest import CALIBRATION, CARD, MANIFEST, OUTPUT_SCHEMA, write_json, write_manifest
from pipelines.config import Model

Floats = npt.NDArray[np.float64]
FLOAT32_EPS = float(np.finfo(np.float32).eps)
OF_THE_FOLDER = ("format", "created_at", "files")  # which the manifest says of the folder, not of the model


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
        return logistic(self.slope * logit(scores.astype(np.float64)) + self.intercept)


Calibration = Annotated[IsotonicCalibration | PlattCalibration, Field(discriminator="method")]


class CalibrationEffect(Model):
    """What a calibration changes on the test split: the calibration error and the log loss (nats a row), before and after."""

    method: Literal["isotonic", "platt"]
    fitted_on: str = "validation"
    calibration_error: tuple[float, float]
    log_loss: tuple[float, float]


def add_calibration(
    folder: Path, calibration: IsotonicCalibration | PlattCalibration, effect: CalibrationEffect, threshold: float
) -> None:
    """Add a calibration to a copy of a model's folder, and to its output schema, its card and its manifest.

    `threshold` is the least score, before calibration, of the second class.
    """
    write_json(folder / CALIBRATION, calibration.model_dump(mode="json"))
    _update(folder / OUTPUT_SCHEMA, {"threshold": threshold, "calibration": calibration.method})
    _update(folder / CARD, {"calibration": effect.model_dump(mode="json")})
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    write_manifest(folder, {name: value for name, value in manifest.items() if name not in OF_THE_FOLDER})


def _update(path: Path, changes: dict[str, object]) -> None:
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **changes})


def logit(scores: Floats) -> Floats:
    """The logarithm of the odds of scores, which are kept float32's epsilon away from 0 and 1."""
    inner = np.clip(scores, FLOAT32_EPS, 1 - FLOAT32_EPS)
    logits: Floats = np.log(inner) - np.log1p(-inner)
    return logits


def logistic(values: Floats) -> Floats:
    """The inverse of `logit`: 1 / (1 + exp(-x)), of each value."""
    probabilities: Floats = 0.5 * (1 + np.tanh(values / 2))
    return probabilities
