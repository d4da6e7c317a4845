"""Calibration of a binary model's scores: fitted on validation, measured on test, and carried in a copy of the bundle."""

from __future__ import annotations

import shutil
from typing import NamedTuple

from pipelines.bundles.calibration import CalibrationEffect, add_calibration
from pipelines.evaluation.metrics import calibration_error, log_loss
from pipelines.evaluation.recalibration import calibrate, calibrated
from pipelines.io.filesystem import fetch_folder, publish_folder, write_bytes
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run
from pipelines.steps.evaluation.predictions import EvaluatedPredictions
from pipelines.temporary import TemporaryFolder


class Recalibrated(NamedTuple):
    """The URI of the bundle that is to be registered, files of the run by name, and facts for the report."""

    model: str
    files: dict[str, str]
    facts: dict[str, str]


def recalibrate(context: Context, run: Run, evaluated: EvaluatedPredictions) -> Recalibrated:
    """Fit the calibration that the configuration declares, and publish a copy of the trained bundle that carries it.

    Without one, the trained bundle is the model. Training's own folder stays as it is.
    """
    method, bins = context.config.evaluate.calibration, context.config.evaluate.calibration_bins
    trained = run.artifacts["model"]
    if method is None:
        return Recalibrated(trained, {}, {})
    calibration = calibrate(method, evaluated.curves["validation"])
    before = evaluated.curves["test"]
    after = calibrated(before, calibration)
    effect = CalibrationEffect(
        method=method,
        calibration_error=(calibration_error(before, bins), calibration_error(after, bins)),
        log_loss=(log_loss(before), log_loss(after)),
    )
    path = f"{context.artifacts('calibrations')}/calibration.json"
    write_bytes(path, calibration.model_dump_json().encode())
    uri = context.artifacts("calibrated_models")
    with TemporaryFolder("bundle") as folder:
        copy = folder / "model"
        shutil.copytree(fetch_folder(trained, folder / "trained"), copy)
        add_calibration(copy, calibration, effect, evaluated.metrics["validation"]["threshold"])
        publish_folder(copy, uri)
    return Recalibrated(
        uri, {"calibration": path, "calibrated_model": uri}, {"calibration": _shown(effect), "calibrated model": uri}
    )


def _shown(effect: CalibrationEffect) -> str:
    (error, error_after), (loss, loss_after) = effect.calibration_error, effect.log_loss
    return (
        f"{effect.method}, calibration error on test {error:.4f}, calibrated {error_after:.4f}; log loss {loss:.4f} and "
        f"{loss_after:.4f}"
    )
