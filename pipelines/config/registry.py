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
    lies on the worse side of `margin`. The metric is log_loss (of a regression mae) unless it is named.
    """

    metric: Metric | None = None
    margin: Bound = 0.0
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    replicates: Annotated[int, Field(ge=20, le=10_000)] = 200


class DriftGate(Model):
    """The most that a feature of the test split may have moved from train: population stability index (nats),
    Kolmogorov-Smirnov distance, change of the missing share. Without a value nothing is checked.
    """

    psi: Bound | None = None
    ks: Bound | None = None
    missing: Bound | None = None


class MlflowMirror(Model):
    """The MLflow server that follows versions and aliases: by default that of MLFLOW_TRACKING_URI, in the registered model of
    the pipeline's name.
    """

    tracking_uri: TrackingUri | None = None
    model: Annotated[str, Field(pattern=r"^[\w .-]+$")] | None = None


class RegistryConfig(Model):
    """The gate of jobs/publish.py, whose bounds count on test beside those of `evaluate`, and the alias of a model that passes.

    `minimum` and `maximum` bound metrics, `calibration_error` that of a binary model, `parity` the greatest difference between
    Spark's features and the model's own. The first model that passes is the champion whatever `alias` says. `mlflow` is no part
    of the gate, nor of the digest by which a gate is recognized.
    """

    alias: Literal["champion", "challenger"] = "challenger"
    minimum: dict[Metric, float] = {}
    maximum: dict[Metric, float] = {}
    calibration_error: Bound | None = None
    parity: Bound = 1e-5
    drift: DriftGate = DriftGate()
    champion: ChampionGate | None = ChampionGate()
    mlflow: MlflowMirror | None = Field(default=None, exclude=True)


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
