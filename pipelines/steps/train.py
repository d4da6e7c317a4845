"""Train the network on the executors: plan the rows, run the ranks, check their receipts, keep history and model."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

from pyspark.sql import functions as F

from pipelines.bundles.card import TrainingData
from pipelines.bundles.signature import InputField, input_schema
from pipelines.config import TrainConfig, load, load_examples
from pipelines.errors import DataError
from pipelines.features.fitted import FittedSpec
from pipelines.io.audit import Audit
from pipelines.io.iceberg import IcebergTable
from pipelines.launch.ranks import warming
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run
from pipelines.runtime.step import Outcome, Step
from pipelines.stages.split_checks import SplitCounts, check_splits
from pipelines.steps.split_counts import count_features, counts_of
from pipelines.steps.training.attempts import Attempts
from pipelines.steps.training.hints import training_hints
from pipelines.steps.training.receipts import Receipts
from pipelines.steps.training.tracking import tracked
from pipelines.training.feed import CHECKSUM_MODULUS
from pipelines.training.job import Sample, TrainingJob
from pipelines.training.plan import PlannedRowGroup, RowPlan, read_groups
from schemas import tables

LOG = logging.getLogger(__name__)

FEATURES = "features"


def inputs(context: Context) -> dict[str, str]:
    """The run that made the interval's features; raises DataError when none did."""
    return {"features": context.runs.needed("features", by="train").run_id}


def work(context: Context) -> Outcome:
    """Train, and write training_history and feed_receipts; the feature snapshot that was read keeps a tag.

    Raises ReceiptError when an epoch did not see each training row exactly once, and what Attempts raises.
    """
    with warming(context.spark, context.config.train.ranks):
        prepared = prepare(context)
    job = prepared.job(context, context.config.train)
    for hint in training_hints(job, prepared.classes):
        LOG.warning(f"   hint: {hint}")
    with tracked(context, job) as log_epoch:
        attempts = Attempts(context, job, prepared.receipts(job.config.ranks), log_epoch)
        attempts.run()
        return publish(context, prepared, job, attempts)


@dataclass(frozen=True)
class Prepared:
    """What every training on a snapshot of the features has in common: row groups by split, fitted features, samples, what the
    train split's receipts have to add up to (rows, and row ids modulo 2^31 - 1), its rows by class, and how a model's folder
    describes its inputs and its data.
    """

    snapshot: int
    stats_snapshot: int
    train: tuple[PlannedRowGroup, ...]
    validation: tuple[PlannedRowGroup, ...]
    spec: FittedSpec
    samples: tuple[Sample, ...]
    rows: int
    checksum: int
    classes: Mapping[int, int]
    inputs: tuple[InputField, ...]
    data: TrainingData

    def job(self, context: Context, config: TrainConfig, name: str = "") -> TrainingJob:
        """A training by a configuration; of several in one run each has a name, by which its files are kept apart."""
        common = {name: getattr(config, name) for name in ("ranks", "batch_size", "seed", "shuffle_rows")}

        def folder_of(kind: str) -> str:
            return f"{context.artifacts(kind)}/{name}" if name else context.artifacts(kind)

        return TrainingJob(
            run_id=context.run_id,
            pipeline=context.config.pipeline,
            config=config,
            task=context.config.task,
            horizon=context.config.horizon,
            spec=self.spec,
            samples=self.samples,
            inputs=self.inputs,
            data=self.data,
            train=RowPlan(groups=self.train, shuffle=True, **common),
            validation=RowPlan(groups=self.validation, shuffle=False, **common),
            checkpoints=folder_of("checkpoints"),
            model=folder_of("models"),
            tensorboard=folder_of("tensorboard") if config.tensorboard else None,
            timeline=f"{folder_of('timelines')}/timeline.json" if config.timeline else None,
        )

    def receipts(self, ranks: int) -> Receipts:
        """The rows and checksum that the ranks have to report for each split."""
        return Receipts(ranks, self.rows, self.checksum)


def prepare(context: Context) -> Prepared:
    """Read what is trained on, at the features' present snapshot; raises DataError when a split is empty, or has one class of
    several that training or evaluation needs.
    """
    snapshot, stats = (context.lake.snapshot_id(name) for name in (FEATURES, tables.FEATURE_STATS.name))
    assert snapshot is not None
    with context.beside() as beside:
        planning = [beside.start(partial(_row_groups, context, snapshot, split)) for split in ("train", "validation")]
        sampling = beside.start(partial(_samples, context))
        fitting = beside.start(partial(read_spec, context, stats))
        counts, checksum = _count(context, snapshot)
        check_splits(counts, context.config.task, context.config.features.split, STEP.name)
        if not (samples := sampling.result()):
            raise DataError(
                "train: feature_samples has no row, by which the model would be checked. Run jobs/features.py again."
            )
        assert stats is not None  # features publishes them with the samples
        spec, whole = fitting.result(), counts["train"]
        train, validation = (each.result() for each in planning)
    inputs = input_schema(spec, load_examples(context.config.contracts), [sample.raw for sample in samples])
    data = _training_data(context, snapshot, {name: counts[name].rows for name in ("train", "validation")})
    return Prepared(snapshot, stats, train, validation, spec, samples, whole.rows, checksum, whole.classes, inputs, data)


def _training_data(context: Context, snapshot: int, rows: dict[str, int]) -> TrainingData:
    """The data as the model card has it; the contracts' module says where it comes from and under which licence."""
    config = context.config
    return TrainingData(
        title=config.title,
        contracts=config.contracts,
        sources=(load(f"{config.contracts}:__doc__", "contracts") or "").strip(),
        interval=(str(context.interval.start), str(context.interval.end)),
        split=str(config.features.split),
        rows=rows,
        features_snapshot=snapshot,
        feature_run=context.runs.needed("features", by="train").run_id,
    )


def publish(context: Context, prepared: Prepared, job: TrainingJob, attempts: Attempts) -> Outcome:
    """Keep a training as the run's: tag the snapshots it read, write history and receipts. Raises ReceiptError when one is
    missing.
    """
    attempts.receipts.check_complete(len(attempts.history))
    keep_snapshots(context, {FEATURES: prepared.snapshot, tables.FEATURE_STATS.name: prepared.stats_snapshot})
    outputs = _write(context, attempts)
    attempts.release()
    seen = {"tensorboard": job.tensorboard, "timeline": job.timeline}
    artifacts = {"model": job.model, "checkpoints": job.checkpoints, **{name: uri for name, uri in seen.items() if uri}}
    return Outcome(outputs=outputs, artifacts=artifacts)


def keep_snapshots(context: Context, snapshots: Mapping[str, int]) -> None:
    """Tag the snapshots, by table, that the run read: evaluate, publish and drift read them again."""
    for table, snapshot in snapshots.items():
        IcebergTable(context.spark, context.lake.identifier(table)).tag(snapshot_tag(context.run_id), snapshot)


def snapshot_tag(run_id: str) -> str:
    """The tag of the snapshots of features and feature_stats that a training run read, which outlive features made anew."""
    return f"train_{run_id}"


def stats_of_training(context: Context, run: Run) -> list[dict[str, Any]]:
    """The rows of feature_stats that a training run read, by position; none when they are gone and the run has no tag."""
    stats = context.lake.snapshot_id(tables.FEATURE_STATS.name, snapshot_tag(run.run_id))
    rows = context.lake.rows(tables.FEATURE_STATS, {"run_id": run.inputs["features"]}, stats)
    return sorted(rows, key=itemgetter("position"))


def read_spec(context: Context, snapshot: int | None = None) -> FittedSpec:
    """The interval's fitted features, from feature_stats as it is, or as it was at a snapshot."""
    rows = sorted(context.lake.rows(tables.FEATURE_STATS, context.whose_interval, snapshot), key=itemgetter("position"))
    return FittedSpec.of(row["fitted"] for row in rows)


def _samples(context: Context) -> tuple[Sample, ...]:
    rows = sorted(context.lake.rows(tables.FEATURE_SAMPLES, context.whose_interval), key=itemgetter("row_id"))
    return tuple(Sample(raw=json.loads(row["raw"]), features=json.loads(row["features"])) for row in rows)


def prepared_files(context: Context, snapshot: int, split: str) -> list[str]:
    """The Parquet files of one split at a snapshot, from the table's manifests."""
    table = IcebergTable(context.spark, context.lake.identifier(FEATURES))
    return table.data_files({**context.whose_interval, "split": split}, snapshot)


def _row_groups(context: Context, snapshot: int, split: str) -> tuple[PlannedRowGroup, ...]:
    return read_groups(prepared_files(context, snapshot, split))


def _count(context: Context, snapshot: int) -> tuple[dict[str, SplitCounts], int]:
    """The rows of each split, and the sum of the train split's row ids modulo 2^31 - 1, as Spark counts them."""
    rows = context.lake.read(FEATURES, snapshot).where(context.in_interval)
    checksum = F.sum(F.pmod("row_id", F.lit(CHECKSUM_MODULUS))).alias("checksum")
    counted = count_features(context.config, rows, checksum)
    return counts_of(counted, context.config.timezone), sum(row.checksum for row in counted if row.split == "train")


def _write(context: Context, attempts: Attempts) -> dict[str, int]:
    exported = max(report.epoch for report in attempts.history if report.best)
    run = {"run_id": context.run_id}
    epochs = [{**run, **report.row(), "best": report.epoch == exported} for report in attempts.history]
    received = [{**run, **receipt.row()} for receipt in attempts.receipts.received]
    with Audit(context.lake, f"train {context.run_id}") as audit:
        for contract, rows in ((tables.TRAINING_HISTORY, epochs), (tables.FEED_RECEIPTS, received)):
            audit.write_rows(contract, rows, {"run_id": context.run_id})
        return audit.publish()


STEP = Step("train", ("train", "task"), inputs, work, own_progress=True, reads=("features", "feature_stats", "feature_samples"))
