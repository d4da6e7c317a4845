"""The section `evaluate`: how the model is judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipelines.config.base import Model

METRICS = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "calibration_error", "accuracy", "precision", "recall", "f1"),
    "multiclass": ("accuracy", "log_loss", "macro_precision", "macro_recall", "macro_f1"),
    "regression": ("mae", "rmse", "bias", "r2"),
}
"""The metrics of each kind of task, as reports show them."""
MONITORS = {"binary": "validation_auc", "multiclass": "validation_accuracy", "regression": "validation_mae"}
"""What each kind of task is watched by, beside its loss, while it trains."""
MONITOR_NAMES = {"validation_auc": "AUC", "validation_accuracy": "accuracy", "validation_mae": "mean absolute error"}
"""What people call them."""


def goodness(monitor: str, value: float) -> float:
    """What is watched while training, turned so that more of it is better."""
    return -value if monitor in ("validation_loss", "validation_mae") else value


def _known_metric(name: str) -> str:
    known = list(dict.fromkeys(metric for metrics in METRICS.values() for metric in metrics))
    if name not in known:
        raise ValueError(f"unknown metric '{name}'; expected one of {', '.join(known)}")
    return name


Metric = Annotated[str, AfterValidator(_known_metric)]


class EvaluateConfig(Model):
    """How the model is judged: what picks a binary model's threshold on validation, another model's figures on test to stand
    beside, and on test the least that a metric must reach (`minimum`) or the most that it may be (`maximum`).
    """

    threshold_by: Literal["f1"] = "f1"
    calibration_bins: Annotated[int, Field(ge=2)] = 10
    yardstick_name: str = ""
    yardstick: dict[Metric, float] = {}
    minimum: dict[Metric, float] = {}
    maximum: dict[Metric, float] = {}
