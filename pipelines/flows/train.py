"""Train the network on the executors: plan the rows, run the ranks, check their receipts, keep history and model."""

from __future__ import annotations

import json

from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.fitted import FittedSpec
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.progress import TrainingProgress
from pipelines.flows.receipts import Receipts
from pipelines.io.iceberg import IcebergTable
from pipelines.launch.channel import Message
from pipelines.launch.ranks import run_ranks
from pipelines.training.feed import CHECKSUM_MODULUS
from pipelines.training.job import Sample, TrainingJob
from pipelines.training.plan import RowPlan, read_groups
from schemas import lake

FEATURES = "features"


def inputs(context: Context) -> dict[str, str]:
    """The run that made the interval's features; raises DataError when none did."""
    return {"features": context.runs.needed("features", by="train").run_id}


def work(context: Context) -> Outcome:
    """Train, and write training_history and feed_receipts; the feature snapshot that was read keeps a tag.

    Raises ReceiptError when an epoch did not see each training row exactly once, and what run_ranks raises.
    """
    snapshot = context.lake.snapshot_id(FEATURES)
    assert snapshot is not None
    job = _job(context, snapshot)
    receipts = Receipts(job.config.ranks, *_expected(context, snapshot))
    history: list[Message] = []
    with TrainingProgress(context.console, job.config.epochs, job.train.steps) as progress:

        def listen(message: Message) -> None:
            progress.show(message)
            if message["kind"] == "epoch":
                history.append(message)
            if message["kind"] == "receipt":
                receipts.add(message)

        run_ranks(
            context.spark,
            job.config.ranks,
            job.model_dump_json(),
            listen,
            port=job.config.channel_port,
            start_seconds=job.config.start_timeout_seconds,
            stall_seconds=job.config.stall_timeout_seconds,
        )
    receipts.check_complete(len(history))
    IcebergTable(context.spark, context.lake.identifier(FEATURES)).tag(snapshot_tag(context.run_id), snapshot)
    outputs = _write(context, history, receipts)
    return Outcome(outputs=outputs, artifacts={"model": job.model, "checkpoints": job.checkpoints})


def snapshot_tag(run_id: str) -> str:
    """The tag of the feature snapshot that a training run read."""
    return f"train_{run_id}"


def _job(context: Context, snapshot: int) -> TrainingJob:
    config = context.config.train
    common = {"ranks": config.ranks, "batch_size": config.batch_size, "seed": config.seed}
    train, validation = (read_groups(_files(context, snapshot, split)) for split in ("train", "validation"))
    if not train or not validation:
        raise DataError("train: the train or the validation split of the features is empty. Check features.split.")
    return TrainingJob(
        run_id=context.run_id,
        pipeline=context.config.pipeline,
        config=config,
        task=context.config.task,
        horizon=context.config.horizon,
        spec=read_spec(context),
        samples=_samples(context),
        train=RowPlan(groups=train, shuffle=True, **common),
        validation=RowPlan(groups=validation, shuffle=False, **common),
        checkpoints=context.artifacts("checkpoints"),
        model=context.artifacts("models"),
    )


def read_spec(context: Context) -> FittedSpec:
    """The interval's fitted features, from feature_stats."""
    rows = context.lake.read(lake.FEATURE_STATS.name).where(context.in_interval).orderBy("position").select("fitted")
    return FittedSpec.of(row.fitted for row in rows.collect())


def _samples(context: Context) -> tuple[Sample, ...]:
    rows = context.lake.read(lake.FEATURE_SAMPLES.name).where(context.in_interval).select("raw", "features")
    return tuple(Sample(raw=json.loads(row.raw), features=json.loads(row.features)) for row in rows.collect())


def _files(context: Context, snapshot: int, split: str) -> list[str]:
    """The Parquet files of one split at a snapshot, from the table's manifests."""
    start, _ = context.bounds
    found = context.lake.read(f"{FEATURES}.files", snapshot)
    wanted = (F.col("partition.split") == split) & (F.col("partition.interval_from") == F.lit(start))
    return sorted(row.file_path for row in found.where(wanted & (F.col("content") == 0)).select("file_path").collect())


def _expected(context: Context, snapshot: int) -> tuple[int, int]:
    """Rows of the train split and the sum of their row ids modulo 2^31 - 1, as Spark counts them."""
    rows = context.lake.read(FEATURES, snapshot).where(context.in_interval & (F.col("split") == "train"))
    checksum = F.sum(F.pmod("row_id", F.lit(CHECKSUM_MODULUS)))
    found = rows.agg(F.count("*").alias("rows"), checksum.alias("checksum")).collect()[0]
    return int(found["rows"]), int(found["checksum"])


def _write(context: Context, history: list[Message], receipts: Receipts) -> dict[str, int]:
    kept = max(message["epoch"] for message in history if message["best"])
    epochs = [
        {
            "run_id": context.run_id,
            **message,
            "rows_per_second": message["rows"] / message["seconds"],
            "best": message["epoch"] == kept,
        }
        for message in history
    ]
    received = [{"run_id": context.run_id, **message} for message in receipts.received]
    with context.lake.audit(f"train {context.run_id}") as audit:
        mine = F.col("run_id") == context.run_id
        for contract, rows in ((lake.TRAINING_HISTORY, epochs), (lake.FEED_RECEIPTS, received)):
            audit.stage(contract, context.lake.frame(contract, rows), mine)
        return audit.publish()


STEP = Step("train", ("train", "task"), inputs, work)
