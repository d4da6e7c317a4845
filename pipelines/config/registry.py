"""The section `registry`: the gate that a model passes before anything uses it, and the alias that it gets then."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.evaluate import METRICS, NEITHER_IS_BETTER, Metric
from pipelines.config.train import TrackingUri
from pipelines.model import Model

DEFAULT_METRICS = {"binary": "log_loss", "multiclass": "log_loss", "regression": "mae"}
"""By the kind of task, the metric by which a model is compared with the champion."""
Bound = Annotated[float, Field(ge=0)]


class ChampionGate(Model):
    """A model is refused when the whole paired interval of its metric's difference to the champion's, on the same test rows,
    lies on the worse side of `margin`.
    """

    metric: Metric | None = None
    """Metric that is compared. Without it log_loss, or mae of a regression."""
    margin: Bound = 0.0
    """How much worse than the champion's the metric may be, in its own unit."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of the interval of the difference."""
    replicates: Annotated[int, Field(ge=20, le=10_000)] = 200
    """Bootstrap replicates of the test rows for this interval."""


class DriftGate(Model):
    """The most that a feature of the test split may have moved from train."""

    psi: Bound | None = None
    """Greatest population stability index, in nats. Without it nothing is checked."""
    ks: Bound | None = None
    """Greatest Kolmogorov-Smirnov distance, from 0 to 1. Without it nothing is checked."""
    missing: Bound | None = None
    """Greatest change of the share of missing values, up or down. Without it nothing is checked."""


class MlflowMirror(Model):
    """The MLflow server that follows versions and aliases."""

    tracking_uri: TrackingUri | None = None
    """The server. Without it the environment variable MLFLOW_TRACKING_URI counts."""
    model: Annotated[str, Field(pattern=r"^[\w .-]+$")] | None = None
    """Name of the registered model. Without it the pipeline's name."""


class RegistryConfig(Model):
    """The gate of jobs/publish.py, whose bounds count beside those of `evaluate`, and the alias of a model that passes."""

    alias: Literal["champion", "challenger"] = "challenger"
    """Alias of a model that passes. The first model that passes is the champion in any case."""
    minimum: dict[Metric, float] = {}
    """By metric, the least value on test, beside `evaluate.minimum`."""
    maximum: dict[Metric, float] = {}
    """By metric, the greatest value on test, beside `evaluate.maximum`."""
    calibration_error: Bound | None = None
    """Greatest calibration error of a binary model on test. Without it nothing is checked."""
    parity: Bound = 1e-5
    """Greatest difference between Spark's features and the model's own, and between the scores of ONNX and SavedModel."""
    drift: DriftGate = DriftGate()
    """How far any feature of the test split may have moved from train."""
    champion: ChampionGate | None = ChampionGate()
    """Comparison with the champion on the same test rows. `null` leaves it out."""
    mlflow: MlflowMirror | None = Field(default=None, exclude=True)
    """Mirrors versions and aliases in MLflow. No part of the gate. Without it nothing is mirrored."""


def check_registry(config: RegistryConfig, task: str) -> None:
    """Raise ValueError when the gate names a metric that the kind of task does not have."""
    named = {"minimum": set(config.minimum), "maximum": set(config.maximum)}
    if config.champion and config.champion.metric:
        named["champion.metric"] = {config.champion.metric}
    if config.calibration_error is not None:
        named["calibration_error"] = {"calibration_error"}
    if config.champion and config.champion.metric in NEITHER_IS_BETTER:
        raise ValueError(
            f"registry.champion.metric: neither more nor less {config.champion.metric} is better; expected another metric"
        )
    for key, metrics in named.items():
        if unknown := sorted(metrics - set(METRICS[task])):
            raise ValueError(
                f"registry.{key}: {', '.join(unknown)} is no metric of a {task} task; expected some of "
                f"{', '.join(METRICS[task])}"
            )
