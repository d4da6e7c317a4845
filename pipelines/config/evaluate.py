"""The section `evaluate`: how the model is evaluated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipelines.model import Model

METRICS = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "calibration_error", "accuracy", "precision", "recall", "f1"),
    "multiclass": ("accuracy", "log_loss", "macro_precision", "macro_recall", "macro_f1"),
    "regression": ("mae", "rmse", "bias", "r2", "coverage"),
}
"""The metrics of each kind of task, as reports show them."""
MONITORS = {"binary": "validation_auc", "multiclass": "validation_accuracy", "regression": "validation_mae"}
"""What each kind of task is watched by, beside its loss, while it trains."""
MONITOR_NAMES = {"validation_auc": "AUC", "validation_accuracy": "accuracy", "validation_mae": "mean absolute error"}
"""What people call them."""


def score_of(monitor: str, value: float) -> float:
    """The value of a monitored metric or loss as a score, of which more is better."""
    return -value if monitor in ("validation_loss", "validation_mae") else value


def _known_metric(name: str) -> str:
    known = list(dict.fromkeys(metric for metrics in METRICS.values() for metric in metrics))
    if name not in known:
        raise ValueError(f"unknown metric '{name}'; expected one of {', '.join(known)}")
    return name


Metric = Annotated[str, AfterValidator(_known_metric), Field(description="metric of the task")]


LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "mae", "rmse"})
"""The metrics of which less is better."""
NEITHER_IS_BETTER = frozenset({"bias", "coverage"})
"""Those that should be near a number: 0, or the quantile that is predicted."""


class Costs(Model):
    """What wrong decisions cost."""

    false_positive: Annotated[float, Field(ge=0)]
    """Cost of a row of the first class that is taken for the second, in any unit."""
    false_negative: Annotated[float, Field(ge=0)]
    """Cost of a row of the second class that is taken for the first, in the same unit."""

    @model_validator(mode="after")
    def _something_costs(self) -> Costs:
        if not self.false_positive and not self.false_negative:
            raise ValueError("both costs are 0; expected at least one above 0")
        return self


class GradientBoosting(Model):
    """A baseline: scikit-learn's histogram gradient boosting on the model's own features and split. The driver trains it while
    Spark scores the model.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "gradient_boosting"
    """Column of the baseline in tables and reports. None of `features.baselines` may have the name."""
    rows: Annotated[int, Field(ge=100, le=5_000_000)] = 100_000
    """Most rows of the train split, drawn at random, on which it is trained."""
    iterations: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Boosting rounds; each adds a tree, or a tree a class."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor of each tree's contribution."""
    leaves: Annotated[int, Field(ge=2, le=4096)] = 31
    """Most leaves of a tree."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads of the driver that train it."""


def _as_slice(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Slice = Annotated[tuple[str] | tuple[str, str], BeforeValidator(_as_slice), Field(description="feature, or a list of two")]


class EvaluateConfig(Model):
    """How the model is evaluated, and the least that it has to reach on test."""

    threshold_by: Literal["f1", "cost", "precision"] = "f1"
    """How a binary model's threshold is chosen on validation: `f1` takes the best F1, `cost` the least cost by `costs`,
    `precision` the greatest recall with at least `minimum_precision`.
    """
    costs: Costs | None = None
    """Costs of wrong decisions. Required with `threshold_by: cost`, and refused without it."""
    minimum_precision: Annotated[float, Field(gt=0, le=1)] | None = None
    """Least precision on validation. Required with `threshold_by: precision`, and refused without it."""
    calibration_bins: Annotated[int, Field(ge=2)] = 10
    """Bins of scores by which the calibration error and its plot are computed."""
    replicates: Annotated[int, Field(ge=0, le=100_000)] = 200
    """Bootstrap replicates of the test rows, from which the metrics' intervals come. 0 leaves intervals out."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of these intervals: 0.95 is 95 %."""
    slices: tuple[Slice, ...] = ()
    """Features of words (categorical, crossed, bucketized), or pairs of them, by whose values test rows are grouped. Each group
    has metrics of its own.
    """
    minimum_slice_rows: Annotated[int, Field(ge=1)] = 100
    """Groups of fewer test rows are counted, and not shown."""
    importance_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Most test rows on which each feature's permutation importance is measured. 0 leaves it out."""
    calibration: Literal["isotonic", "platt"] | None = None
    """Method, fitted on validation, that turns a binary model's scores into probabilities. publish registers a copy of the
    model that carries it; the scores stay as they are.
    """
    gradient_boosting: GradientBoosting | None = None
    """Trains a baseline beside the model. Without it there is none."""
    yardstick_name: str = ""
    """Name of another model, as the report shows it beside this one."""
    yardstick: dict[Metric, float] = {}
    """That model's metrics on test."""
    minimum: dict[Metric, float] = {}
    """By metric, the least value on test. With a lower one evaluate fails (exit 4), and publish refuses the model."""
    maximum: dict[Metric, float] = {}
    """By metric, the greatest value on test, with the same consequences."""

    @model_validator(mode="after")
    def _threshold_is_whole(self) -> EvaluateConfig:
        for by, key in (("cost", "costs"), ("precision", "minimum_precision")):
            if (self.threshold_by == by) != (getattr(self, key) is not None):
                raise ValueError(
                    f"threshold_by is {self.threshold_by} and {key} is {'not ' if getattr(self, key) is None else ''}given; "
                    f"expected {key} with threshold_by: {by}, and not without"
                )
        return self
