"""The section `evaluate`: how the model is judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipelines.config.base import Model

METRICS = ("auc", "average_precision", "log_loss", "brier", "calibration_error", "accuracy", "precision", "recall", "f1")


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"unknown metric '{name}'; expected one of {', '.join(METRICS)}")
    return name


Metric = Annotated[str, AfterValidator(_known_metric)]


class EvaluateConfig(Model):
    """How the model is judged: what picks the threshold on validation, the names of the two classes, another model's figures
    on test to stand beside, and the least that each metric must reach on test.
    """

    threshold_by: Literal["f1"] = "f1"
    calibration_bins: Annotated[int, Field(ge=2)] = 10
    classes: tuple[str, str] = ("negative", "positive")
    yardstick_name: str = ""
    yardstick: dict[Metric, float] = {}
    minimum: dict[Metric, float] = {}
