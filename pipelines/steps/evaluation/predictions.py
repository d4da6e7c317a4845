"""Metrics and plots of predictions, worked out on Spark: at most one row a distinct score, class or step reaches the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.config import MONITORS, Binary, EvaluateConfig, Multiclass, Pipeline, Regression
from pipelines.errors import DataError, QualityError
from pipelines.evaluation import plots
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import FLOAT32_EPS, all_metrics, best_f1_threshold, choose_threshold
from pipelines.evaluation.multiclass import multiclass_metrics
from pipelines.evaluation.regression import Errors, regression_metrics

EVALUATED_SPLITS = ("validation", "test")
CELLS = 60
Metrics = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class EvaluatedPredictions:
    """A model's predictions, evaluated: metrics by split and facts, the metrics of each baseline, and of a binary task each
    split's curve. `draw` returns the plots as SVG by title; it takes long enough to be run beside other work.
    """

    metrics: Metrics
    draw: Callable[[], Mapping[str, str]]
    facts: Mapping[str, str] = field(default_factory=dict)
    baselines: Mapping[str, Metrics] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)


def evaluate_predictions(
    config: Pipeline, predictions: DataFrame, features: DataFrame, fitted: Mapping[str, DataFrame] | None = None
) -> EvaluatedPredictions:
    """Evaluate the predictions of a model and of its baselines: the columns of the features table, and those of `fitted`.

    Raises DataError when a baseline predicts nothing or what cannot be, or when a binary split is of one class.
    """
    declared = {name: baseline_predictions(config, features, name) for name in config.features.baselines}
    baselines = {**declared, **(fitted or {})}
    if isinstance(config.task, Binary):
        return _evaluate_binary(config, config.task, predictions, baselines)
    if isinstance(config.task, Multiclass):
        return _evaluate_classes(config.task, predictions, baselines)
    return _evaluate_numbers(config, config.task, predictions, baselines)


def baseline_predictions(config: Pipeline, features: DataFrame, name: str) -> DataFrame:
    """What a baseline of the features table predicts, where it does, with the columns of the table `predictions`."""
    label, predicted = ("labels", "predictions") if config.horizon else ("label", "predicted")
    if config.task.kind == "binary":
        predicted = "score"
    column = F.col(f"baseline_{name}")
    row_id = [name for name in ("row_id",) if name in features.columns]
    return features.where(column.isNotNull()).select(*row_id, "split", F.col("label").alias(label), column.alias(predicted))


def history_metric(config: Pipeline) -> str:
    """The column of training_history that the task is watched by."""
    return MONITORS[config.task.kind]


def _evaluate_binary(
    config: Pipeline, task: Binary, predictions: DataFrame, others: Mapping[str, DataFrame]
) -> EvaluatedPredictions:
    bins = config.evaluate.calibration_bins
    curves = _curves(predictions)
    _check_classes("evaluate", curves, task)
    threshold, why = choose_threshold(curves["validation"], config.evaluate)
    baselines = {}
    for name, frame in others.items():
        of_baseline = _curves(frame)
        _check_scores(name, of_baseline)
        _check_classes(f"features.baselines.{name}" if name in config.features.baselines else name, of_baseline, task)
        own = _threshold_of_baseline(of_baseline["validation"], config.evaluate)
        baselines[name] = {split: all_metrics(curve, own, bins) for split, curve in of_baseline.items()}
    return EvaluatedPredictions(
        metrics={split: all_metrics(curve, threshold, bins) for split, curve in curves.items()},
        draw=partial(plots.binary_plots, curves, threshold, task.classes, bins),
        facts={"threshold": f"{threshold:.4f}, {why}"},
        baselines=baselines,
        curves=curves,
    )


def _threshold_of_baseline(curve: Curve, config: EvaluateConfig) -> float:
    """A baseline's threshold, chosen as the model's; the best F1 where it can't be, since a baseline has to reach nothing."""
    try:
        return choose_threshold(curve, config)[0]
    except QualityError:
        return best_f1_threshold(curve)


def _curves(predictions: DataFrame) -> dict[str, Curve]:
    """Counts by split and distinct score: at most 16 bytes a distinct score reach the driver, never the rows."""
    positive = F.count_if(F.col("label") > 0.5).alias("positives")
    negative = F.count_if(F.col("label") <= 0.5).alias("negatives")
    counted = predictions.groupBy("split", "score").agg(positive, negative).toArrow().to_pandas()
    parts = {name: counted[counted["split"] == name] for name in EVALUATED_SPLITS}
    return {n: Curve.of(*(p[c].to_numpy() for c in ("score", "positives", "negatives"))) for n, p in parts.items()}


def _check_any(name: str, predicted: Mapping[str, float]) -> None:
    """Raise DataError when a baseline predicts nothing in a split, by how many rows of each it predicts."""
    if empty := [split for split, rows in predicted.items() if not rows]:
        raise DataError(
            f"features.baselines.{name}: it is null in all rows of the {' and the '.join(empty)} split; expected a "
            f"prediction in some of them. Fix its SQL, or leave it out."
        )


def _check_scores(name: str, curves: Mapping[str, Curve]) -> None:
    """Raise DataError when a baseline's scores are no probabilities."""
    _check_any(name, {split: curve.rows for split, curve in curves.items()})
    for split, curve in curves.items():
        if not ((curve.scores >= 0) & (curve.scores <= 1)).all():
            raise DataError(
                f"features.baselines.{name}: it predicts from {curve.scores.min():g} to {curve.scores.max():g} on {split}; "
                f"expected probabilities from 0 to 1. Fix its SQL, or leave it out."
            )


def _check_classes(what: str, curves: Mapping[str, Curve], task: Binary) -> None:
    """Raise DataError when the rows that were predicted are of one class, of which AUC is undefined."""
    for split, curve in curves.items():
        counts = [int(rows.sum()) for rows in (curve.negatives, curve.positives)]
        if not all(counts):
            shown = ", ".join(f"{name}: {rows:,}" for name, rows in zip(task.classes, counts, strict=True))
            raise DataError(
                f"{what}: the predicted rows of the {split} split are of one class only ({shown}), and AUC is undefined on one "
                f"class; expected rows of both. Change features.split, or predict more rows."
            )


def _evaluate_classes(task: Multiclass, predictions: DataFrame, others: Mapping[str, DataFrame]) -> EvaluatedPredictions:
    own = F.get("predictions", F.col("label").cast("int"))
    loss = -F.log(F.greatest(own.cast("double"), F.lit(FLOAT32_EPS)))
    confusions = _confusions(predictions, len(task.classes), loss)
    baselines = {}
    for name, frame in others.items():
        its_loss = loss if "predictions" in frame.columns else F.lit(float("nan"))
        of_baseline = _confusions(frame, len(task.classes), its_loss, name)
        _check_any(name, {split: counts.sum() for split, (counts, _) in of_baseline.items()})
        baselines[name] = {split: multiclass_metrics(*counts) for split, counts in of_baseline.items()}
    return EvaluatedPredictions(
        metrics={split: multiclass_metrics(*counts) for split, counts in confusions.items()},
        draw=lambda: {
            f"Confusion, {split}": plots.classes_plot(counts, task.classes) for split, (counts, _) in confusions.items()
        },
        baselines=baselines,
    )


def _confusions(
    predictions: DataFrame, classes: int, loss: Column, baseline: str = ""
) -> dict[str, tuple[npt.NDArray[np.float64], float]]:
    """By split: rows by true and predicted class, and the sum of their losses. Raises DataError when a baseline predicts what
    is no class.
    """
    counted = predictions.groupBy("split", "label", "predicted").agg(F.count("*").alias("rows"), F.sum(loss).alias("loss"))
    counts = {split: np.zeros((classes, classes)) for split in EVALUATED_SPLITS}
    losses = dict.fromkeys(EVALUATED_SPLITS, 0.0)
    for row in counted.collect():
        if row.predicted not in range(classes):
            raise DataError(
                f"features.baselines.{baseline}: it predicts {row.predicted:g} on {row.split}, which is no class; expected "
                f"whole numbers from 0 to {classes - 1}, the position in task.classes. Fix its SQL, or leave it out."
            )
        counts[row.split][int(row.label), int(row.predicted)] += row["rows"]
        losses[row.split] += row.loss
    return {split: (counts[split], losses[split]) for split in EVALUATED_SPLITS}


def _evaluate_numbers(
    config: Pipeline, task: Regression, predictions: DataFrame, frames: Mapping[str, DataFrame]
) -> EvaluatedPredictions:
    steps = _steps(config, predictions)
    of_model = _errors(steps)
    of_baselines = {}
    for name, frame in frames.items():
        of_baselines[name] = _errors(_steps(config, frame))
        _check_any(name, {split: errors.rows.sum() for split, errors in of_baselines[name].items()})
    by_name = {"model": of_model, **{name.replace("_", " "): errors for name, errors in of_baselines.items()}}

    def draw() -> dict[str, str]:
        drawn = {"Agreement on test": _agreement(steps.where(F.col("split") == "test"), task.unit)}
        if config.horizon is not None:
            drawn["Error by step, test"] = plots.horizon_plot({name: of["test"] for name, of in by_name.items()}, task.unit)
        return drawn

    return EvaluatedPredictions(
        metrics={split: regression_metrics(errors) for split, errors in of_model.items()},
        draw=draw,
        facts={"unit": task.unit} if task.unit else {},
        baselines={n: {split: regression_metrics(errors) for split, errors in of.items()} for n, of in of_baselines.items()},
    )


def _steps(config: Pipeline, predictions: DataFrame) -> DataFrame:
    """True and predicted numbers as arrays: a horizon's, or of one."""
    if config.horizon is None:
        return predictions.select("split", F.array("label").alias("true"), F.array("predicted").alias("predicted"))
    return predictions.select("split", F.col("labels").alias("true"), F.col("predictions").alias("predicted"))


def _errors(steps: DataFrame) -> dict[str, Errors]:
    """By split: sums of errors by step."""
    each = _each(steps)
    error, true = F.col("predicted") - F.col("true"), F.col("true")
    sums = {"error": error, "absolute": F.abs(error), "squared": error * error, "label": true, "label_squared": true * true}
    sums["covered"] = (error >= 0).cast("double")
    summed = each.groupBy("split", "step").agg(
        F.count("*").alias("rows"), *(F.sum(value).alias(name) for name, value in sums.items())
    )
    sums_by_step = summed.orderBy("step").toArrow().to_pandas()
    return {
        split: Errors(*(sums_by_step[sums_by_step["split"] == split][name].to_numpy(np.float64) for name in Errors._fields))
        for split in EVALUATED_SPLITS
    }


def _each(steps: DataFrame) -> DataFrame:
    """One row a step that has both a true and a predicted value, in double precision."""
    pairs = F.posexplode(F.arrays_zip("true", "predicted"))
    rows = steps.select("split", pairs.alias("step", "pair"))
    values = (F.col(f"pair.{name}").cast("double").alias(name) for name in ("true", "predicted"))
    return rows.select("split", "step", *values).where(F.col("true").isNotNull() & F.col("predicted").isNotNull())


def _agreement(steps: DataFrame, unit: str) -> str:
    each = _each(steps)
    bounds = each.agg(*(of(F.col(name)) for name in ("true", "predicted") for of in (F.min, F.max))).collect()[0]
    cell = (max(bounds[1], bounds[3]) - min(bounds[0], bounds[2])) / CELLS or 1.0
    cells = [F.round(F.col(name) / cell).alias(name) for name in ("true", "predicted")]
    counts = each.select(*cells).groupBy("true", "predicted").count().toArrow().to_pandas()
    true, predicted = (counts[name].to_numpy() * cell for name in ("true", "predicted"))
    return plots.agreement_plot(true, predicted, counts["count"].to_numpy(), unit)
