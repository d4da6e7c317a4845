"""The section `evaluate`: how the model is judged."""

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


def goodness(monitor: str, value: float) -> float:
    """What is watched while training, turned so that more of it is better."""
    return -value if monitor in ("validation_loss", "validation_mae") else value


def _known_metric(name: str) -> str:
    known = list(dict.fromkeys(metric for metrics in METRICS.values() for metric in metrics))
    if name not in known:
        raise ValueError(f"unknown metric '{name}'; expected one of {', '.join(known)}")
    return name


Metric = Annotated[str, AfterValidator(_known_metric)]


LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "mae", "rmse"})
"""The metrics of which less is better."""
NEITHER_IS_BETTER = frozenset({"bias", "coverage"})
"""Those that should be near a number: 0, or the quantile that is predicted."""


class Costs(Model):
    """What a wrong verdict costs, in any unit: a row that is taken for a positive, and a positive that is not seen."""

    false_positive: Annotated[float, Field(ge=0)]
    false_negative: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _something_costs(self) -> Costs:
        if not self.false_positive and not self.false_negative:
            raise ValueError("both costs are 0; expected at least one above 0")
        return self


class GradientBoosting(Model):
    """A baseline of scikit-learn's histogram gradient boosting on the model's own features and split.

    The driver trains it on at most `rows` rows of the train split, in `iterations` rounds by `threads` threads, while Spark
    scores the model. `name` is its column in tables and reports.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "gradient_boosting"
    rows: Annotated[int, Field(ge=100, le=5_000_000)] = 100_000
    iterations: Annotated[int, Field(ge=1, le=10_000)] = 100
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    leaves: Annotated[int, Field(ge=2, le=4096)] = 31
    threads: Annotated[int, Field(ge=1, le=1024)] = 1


Slice = tuple[str] | tuple[str, str]


def _as_slice(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class EvaluateConfig(Model):
    """How the model is evaluated.

    `threshold_by` picks a binary model's threshold on validation: the best F1, the least of `costs`, or the greatest recall
    with at least the precision `minimum_precision`. Intervals of `confidence` come from `replicates` bootstrap replicates of
    the test rows; 0 leaves them out. `slices` are features of words, or pairs of them, by whose values test rows are grouped;
    groups of fewer than `minimum_slice_rows` rows are suppressed. `importance_rows` is how many test rows permutation
    importance takes; 0 leaves it out. `calibration` fits on validation what turns a binary model's scores into probabilities;
    the scores stay as they are. Another model's figures on test (`yardstick`) stand beside, as do those of the baseline
    `gradient_boosting`. On test a metric must reach `minimum` and not exceed `maximum`.
    """

    threshold_by: Literal["f1", "cost", "precision"] = "f1"
    costs: Costs | None = None
    minimum_precision: Annotated[float, Field(gt=0, le=1)] | None = None
    calibration_bins: Annotated[int, Field(ge=2)] = 10
    replicates: Annotated[int, Field(ge=0, le=100_000)] = 200
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    slices: tuple[Annotated[Slice, BeforeValidator(_as_slice)], ...] = ()
    minimum_slice_rows: Annotated[int, Field(ge=1)] = 100
    importance_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    calibration: Literal["isotonic", "platt"] | None = None
    gradient_boosting: GradientBoosting | None = None
    yardstick_name: str = ""
    yardstick: dict[Metric, float] = {}
    minimum: dict[Metric, float] = {}
    maximum: dict[Metric, float] = {}

    @model_validator(mode="after")
    def _threshold_is_whole(self) -> EvaluateConfig:
        for by, key in (("cost", "costs"), ("precision", "minimum_precision")):
            if (self.threshold_by == by) != (getattr(self, key) is not None):
                raise ValueError(
                    f"threshold_by is {self.threshold_by} and {key} is {'not ' if getattr(self, key) is None else ''}given; "
                    f"expected {key} with threshold_by: {by}, and not without"
                )
        return self
