"""The results of evaluate as the report shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account
from pipelines.config import EvaluateConfig, Pipeline
from pipelines.config.losses import LOSSES
from pipelines.evaluation.bootstrap import ConfidenceInterval
from pipelines.evaluation.importance import Importance
from pipelines.evaluation.plots import training_plot
from pipelines.evaluation.report import Findings, Grid, flattened, shown_bounds
from pipelines.evaluation.verdict import PRIMARY, outcome, spoken
from pipelines.features.drift import FeatureDrift
from pipelines.runtime.code import code_version
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run
from pipelines.stages.splits import SPLITS
from pipelines.steps.drift import moved_row
from pipelines.steps.evaluation.assessment import Assessment
from pipelines.steps.evaluation.confidence import Confidence, SliceMetrics, Suppressed
from pipelines.steps.evaluation.fitted_baselines import trained_files
from pipelines.steps.evaluation.opening import opening, tiles, without_underscores
from pipelines.steps.evaluation.predictions import EvaluatedPredictions, Metrics, history_metric
from pipelines.training.plan import read_groups
from schemas import tables

MOST_MOVED = 10
MOST_WRONG = 10
SHOWN_OF_SLICES = {
    "binary": ("auc", "average_precision", "log_loss"),
    "multiclass": ("accuracy", "log_loss", "macro_f1"),
    "regression": ("mae", "bias", "rmse"),
}


@dataclass(frozen=True)
class ReportContents:
    """All that the report shows, before it is formatted."""

    run: Run
    evaluated: EvaluatedPredictions
    confidence: Confidence | None
    importance: Sequence[Importance]
    assessment: Assessment
    account: Account
    facts: Mapping[str, str]
    plots: Mapping[str, str]
    largest_errors: Grid


def findings(context: Context, contents: ReportContents) -> Findings:
    """The report's content: the verdict first, then what it rests on."""
    config, evaluated = context.config, contents.evaluated
    metrics = compared(config.evaluate, evaluated.metrics, evaluated.baselines)
    return Findings(
        title=config.title or config.pipeline,
        task=config.task.kind,
        verdict=opening(config, evaluated, contents.confidence, contents.assessment),
        passed=not contents.assessment.gate.missed,
        tiles=tiles(config, evaluated, contents.confidence, contents.assessment),
        metrics=metrics,
        bounds=_bounds(contents.confidence),
        first=[*_differences(contents.confidence), _accounts(context, contents.account)],
        plots=contents.plots,
        grids=[
            *_slices(config, contents.confidence),
            _importance(config, contents.importance),
            contents.largest_errors,
        ],
        drift=_drift(context),
        facts=_facts(context, contents),
        settings=_settings(config),
    )


def draw_plots(config: Pipeline, evaluated: EvaluatedPredictions, history: Sequence[dict[str, object]]) -> dict[str, str]:
    """All plots of the report as SVG by title, those of the training's epochs first."""
    loss = config.train.loss.name if config.train.loss else LOSSES[config.task.kind][0]
    return {"Training": training_plot(history, history_metric(config), loss), **evaluated.draw()}


def compared(config: EvaluateConfig, metrics: Metrics, baselines: Mapping[str, Metrics]) -> dict[str, Mapping[str, float]]:
    """Metrics by what they are of: each split, each baseline on test, another model's figures on test."""
    columns = {**metrics, **{without_underscores(name): of["test"] for name, of in baselines.items()}}
    return {**columns, config.yardstick_name: config.yardstick} if config.yardstick else columns


def _bounds(confidence: Confidence | None) -> dict[str, Mapping[str, ConfidenceInterval]]:
    if confidence is None:
        return {}
    return {"test": confidence.model, **{without_underscores(name): of for name, of in confidence.baselines.items()}}


def _differences(confidence: Confidence | None) -> list[Grid]:
    columns = ("metric", "difference", "interval", "the model is")
    return [
        Grid(
            f"The model less {without_underscores(name)}, on the same test rows",
            columns,
            [
                (without_underscores(metric), f"{d.estimate:+.4f}", shown_bounds(d), outcome(metric, d))
                for metric, d in of.items()
            ],
        )
        for name, of in (confidence.differences.items() if confidence else ())
    ]


def _accounts(context: Context, own: Account) -> Grid:
    columns = ("step", "source", "in", "out", "quarantined", "duplicates", "filtered")
    names = ("rows_in", "rows_out", "quarantined", "duplicates", "filtered")
    steps = ("ingest", "clean", "features", "train")
    ledger = context.lake.rows(tables.ROW_LEDGER, context.whose_interval)
    before = sorted(
        (row for row in ledger if row["step"] in steps), key=lambda row: (steps.index(row["step"]), -row["rows_in"])
    )
    rows = [(row["step"], row["source"], *(f"{row[name]:,}" for name in names)) for row in before]
    rows.append(("evaluate", own.source, *(f"{getattr(own, name):,}" for name in names)))
    return Grid("Rows", columns, rows, words=2)


def _slices(config: Pipeline, confidence: Confidence | None) -> Iterable[Grid]:
    if confidence is None:
        return
    shown = SHOWN_OF_SLICES[config.task.kind]
    columns = ("rows", *(text for name in shown for text in (without_underscores(name), "interval")))
    suppressed = {few.features: few for few in confidence.suppressed}
    for features, group in groupby(confidence.slices, key=lambda one: one.features):
        heading = f"Test rows by {' and '.join(map(without_underscores, features))}"
        rows = [_slice_row(one, shown) for one in group]
        note = _suppressed(suppressed.get(features), config.evaluate.minimum_slice_rows)
        yield Grid(heading, (*features, *columns), rows, note, len(features))


def _suppressed(few: Suppressed | None, least: int) -> str:
    return f"Not shown: {few.groups:,} groups of fewer than {least:,} rows, {few.rows:,} rows in all." if few else ""


def _slice_row(one: SliceMetrics, shown: Sequence[str]) -> tuple[str, ...]:
    cells = [text for name in shown for text in (f"{one.intervals[name].estimate:.4f}", shown_bounds(one.intervals[name]))]
    return (*one.values, f"{one.rows:,}", *cells)


def _importance(config: Pipeline, importance: Sequence[Importance]) -> Grid:
    metric = PRIMARY[config.task.kind]
    note = f"By how much {spoken(metric)} is worse on a sample of test rows with a feature's values shuffled."
    rows = [(one.feature, f"{one.loss:.4f}", f"{one.deviation:.4f}") for one in importance]
    return Grid("Permutation importance", ("feature", "loss", "deviation over shuffles"), rows, note)


def largest_errors(config: Pipeline, predictions: DataFrame) -> Grid:
    """The test rows on which the model is most wrong; of several numbers, the one whose mean error is greatest."""
    shown, error = _error(config)
    rows = predictions.where(F.col("split") == "test").select("row_id", *shown, error.cast("double").alias("error"))
    worst = rows.orderBy(F.desc("error"), "row_id").limit(MOST_WRONG).collect()
    columns = ("row id", *shown, "error")
    note = "Row ids are those of the tables features and predictions."
    return Grid("Largest errors on test", columns, [tuple(_shown(value) for value in row) for row in worst], note)


def _error(config: Pipeline) -> tuple[tuple[str, ...], Column]:
    if config.task.kind == "binary":
        return ("label", "score"), F.abs(F.col("label") - F.col("score"))
    if config.task.kind == "multiclass":
        return ("label", "predicted", "score"), F.when(F.col("label") != F.col("predicted"), F.col("score")).otherwise(0.0)
    if config.horizon is None:
        return ("label", "predicted"), F.abs(F.col("label") - F.col("predicted"))
    gaps = F.zip_with("labels", "predictions", lambda true, predicted: F.abs(true - predicted).cast("double"))
    return (), F.aggregate(F.filter(gaps, lambda gap: gap.isNotNull()), F.lit(0.0), lambda a, b: a + b) / F.size("labels")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _facts(context: Context, contents: ReportContents) -> dict[str, str]:
    run = contents.run
    return {
        "interval": context.shown(*context.bounds),
        "splits": f"{context.config.features.split}; rows: {_proportions(context, run)}",
        "model": run.artifacts["model"],
        **contents.evaluated.facts,
        **contents.facts,
        "runs": f"features {run.inputs['features']}, train {run.run_id}, evaluate {context.run_id}",
        "code": code_version(),
    }


def _settings(config: Pipeline) -> list[tuple[str, str]]:
    """What the configuration sets itself of the task, training and evaluation; what it leaves to defaults is not shown."""
    chosen = config.model_dump(mode="json", include={"task", "train", "evaluate"}, exclude_unset=True)
    return flattened("", chosen)


def _drift(context: Context) -> list[tuple[str, ...]]:
    rows = sorted(context.lake.rows(tables.DRIFT_METRICS, context.whose_interval), key=itemgetter("psi"), reverse=True)
    return [
        moved_row(row["compared"], FeatureDrift(**{name: row[name] for name in FeatureDrift._fields}))
        for row in rows[:MOST_MOVED]
    ]


def _proportions(context: Context, run: Run) -> str:
    """Rows by split, from the footers of the snapshot's files."""
    counts = {split: sum(group.rows for group in read_groups(trained_files(context, run, split))) for split in SPLITS}
    every = sum(counts.values())
    return ", ".join(f"{split} {counts[split]:,} ({counts[split] / every:.1%})" for split in SPLITS)
