"""Baselines that are fitted beside the model, on its own features and split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from pipelines.errors import DataError
from pipelines.evaluation.boosting import boosted_predictions, fit_boosting
from pipelines.features.fitted import FittedSpec
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run
from pipelines.steps.evaluation.predictions import EVALUATED_SPLITS
from pipelines.steps.train import FEATURES, prepared_files, snapshot_tag, stats_of_training


@dataclass(frozen=True)
class FittedBaselines:
    """What fitted baselines predict, by name, and facts about their fitting."""

    predictions: Mapping[str, DataFrame] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


def fit_baselines(context: Context, run: Run) -> FittedBaselines:
    """Fit the declared baseline on the snapshot that a training run read, and predict validation and test rows."""
    config, task = context.config.evaluate.gradient_boosting, context.config.task
    if config is None:
        return FittedBaselines()
    spec = trained_spec(context, run)
    train, *others = (trained_files(context, run, split) for split in ("train", *EVALUATED_SPLITS))
    boosted = fit_boosting(config, task, spec, train)
    table = boosted_predictions(boosted, task, spec, dict(zip(EVALUATED_SPLITS, others, strict=True)))
    fact = f"{config.iterations} rounds on {boosted.rows:,} rows of the train split, {boosted.seconds:.1f} seconds"
    return FittedBaselines({config.name: context.spark.createDataFrame(table)}, {config.name.replace("_", " "): fact})


def trained_files(context: Context, run: Run, split: str) -> list[str]:
    """The Parquet files of a split, of the snapshot that a training run read."""
    snapshot = context.lake.snapshot_id(FEATURES, snapshot_tag(run.run_id))
    assert snapshot is not None
    return prepared_files(context, snapshot, split)


def trained_spec(context: Context, run: Run) -> FittedSpec:
    """The fitted features of a training run. Raises DataError when a release that kept none of them trained it, and the
    interval's features were made anew since.
    """
    rows = stats_of_training(context, run)
    if not rows:
        raise DataError(
            f"evaluate: feature_stats no longer has the features that run {run.run_id} was trained on: they were made anew "
            f"since. Run jobs/train.py again, or remove evaluate.slices and evaluate.gradient_boosting."
        )
    return FittedSpec.of(row["fitted"] for row in rows)
