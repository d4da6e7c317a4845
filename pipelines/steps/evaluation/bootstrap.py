"""The Poisson bootstrap on Spark: confidence intervals of one model's metrics, and of what two models differ by.

One pass serves all models and replicates. Rows are sorted by score once a block of replicates, and stream through NumPy, which
holds sums and one batch: exact metrics, ties included, in memory that grows with neither rows nor distinct scores. Weights come
from a hash of row id and replicate, so retried tasks and other partitions change nothing, and models share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.config import METRICS, Binary, Multiclass, Task
from pipelines.errors import ConfigError, DataError
from pipelines.evaluation.bootstrap import ConfidenceInterval, Replicates, paired_difference
from pipelines.evaluation.kernel import Plan, replicate_batches
from pipelines.evaluation.metrics import FLOAT32_EPS
from pipelines.expressions import union_of

REPLICATES = 200
MOST_BLOCKS = 16  # a model: each sorts the rows anew


def paired_interval(
    champion: DataFrame,
    challenger: DataFrame,
    metric: str,
    *,
    task: Task,
    thresholds: tuple[float, float] = (0.5, 0.5),
    bins: int = 10,
    replicates: int = REPLICATES,
    confidence: float = 0.95,
) -> ConfidenceInterval:
    """The challenger's metric less the champion's on the same test rows, and its paired bootstrap interval.

    Both frames have the columns of the table `predictions`: row_id; label and score, of classes label, predicted and
    predictions, of numbers label and predicted or labels and predictions. `thresholds` are the champion's and the
    challenger's, for metrics of a binary task that need one.

    Raises ConfigError for a metric that the task lacks, and DataError when the two did not predict the same labels of the same
    rows.
    """
    if metric not in METRICS[task.kind]:
        raise ConfigError(
            f"evaluate: {metric} is no metric of a {task.kind} task; expected one of {', '.join(METRICS[task.kind])}."
        )
    models = {"champion": champion, "challenger": challenger}
    limits = dict(zip(models, thresholds, strict=True))
    both = replicate_metrics(models, task=task, thresholds=limits, bins=bins, replicates=replicates)
    return paired_difference(both["champion"], both["challenger"], metric, confidence)


def replicate_metrics(
    models: Mapping[str, DataFrame],
    *,
    task: Task,
    thresholds: Mapping[str, float],
    bins: int = 10,
    replicates: int = REPLICATES,
    slices: DataFrame | None = None,
    least_rows: int = 0,
) -> dict[str, Replicates]:
    """The metrics of several models' predictions in each replicate, in one pass of Spark: see `paired_interval`.

    `thresholds` has the threshold of each model; only a binary task reads it. `slices` are the first model's predictions with a
    column `group`, a row for each slice that it is of. The metrics of a slice of fewer than `least_rows` are not worked out.
    Raises DataError for a model without a labelled prediction.
    """
    own = {name: thresholds.get(name, 0.5) for name in models}
    first = next(iter(models.values()))
    blocks = max(1, min(first.sparkSession.sparkContext.defaultParallelism, MOST_BLOCKS, replicates))
    plan = Plan(task, own, next(iter(own.values())), bins, replicates, blocks, least_rows)
    frames = [_metric_inputs(frame.withColumn("group", F.lit(name)), task) for name, frame in models.items()]
    frames += [_metric_inputs(slices, task)] if slices is not None else []
    each = union_of(frames).withColumn("partition", F.explode(F.array(*map(F.lit, range(blocks)))))
    order = ("group", F.desc("score"), "row_id") if isinstance(task, Binary) else ("group", "row_id")
    partitioned = each.repartitionById(blocks, "partition").sortWithinPartitions(*order)
    drawn = partitioned.mapInArrow(partial(replicate_batches, plan=plan), from_arrow_schema(plan.schema())).toArrow()
    groups = dict(_by_group(drawn, plan))
    for name in models:
        if name not in groups:
            raise DataError(f"evaluate: {name} has predicted no labelled row; expected some of the test split.")
    return groups


def _metric_inputs(frame: DataFrame, task: Task) -> DataFrame:
    """The labelled rows with the columns that their metrics need, and bits of the label to compare two models' rows by."""
    if isinstance(task, Binary):
        return _labelled(frame, F.col("label"), {"score": F.col("score"), "label": F.col("label")})
    if isinstance(task, Multiclass):
        loss: Column = F.lit(float("nan"))
        if "predictions" in frame.columns:
            own = F.get("predictions", F.col("label").cast("int")).cast("double")
            loss = F.coalesce(-F.log(F.greatest(own, F.lit(FLOAT32_EPS))), loss)
        return _labelled(frame, F.col("label"), {"label": F.col("label"), "predicted": F.col("predicted"), "loss": loss})
    return _labelled(frame, F.get(_steps(frame, "labels", "label"), F.lit(0)), {
        "true": _steps(frame, "labels", "label"), "predicted": _steps(frame, "predictions", "predicted"),
    })  # fmt: skip


def _steps(frame: DataFrame, many: str, one: str) -> Column:
    """A row's numbers as an array: those of a horizon, or the one."""
    choices = [(F.col(many), many), (F.array(one), one)]
    return F.coalesce(*(column.cast("array<float>") for column, name in choices if name in frame.columns))


def _labelled(frame: DataFrame, label: Column, columns: Mapping[str, Column]) -> DataFrame:
    bits = F.xxhash64(label.cast("float")).alias("label_bits")
    return frame.where(label.isNotNull()).select(
        "group", "row_id", bits, *(value.alias(name) for name, value in columns.items())
    )


def _by_group(drawn: pa.Table, plan: Plan) -> Iterator[tuple[str, Replicates]]:
    rows = drawn.sort_by([("group", "ascending"), ("replicate", "ascending")])
    names = rows.column("group").combine_chunks().dictionary_encode()
    indices = names.indices.to_numpy(zero_copy_only=False)
    bounds = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(indices)]
    for start, stop in pairwise(bounds if len(indices) else []):
        own = rows.slice(start, stop - start)
        metrics = (
            {}
            if own.column(METRICS[plan.task.kind][0]).null_count
            else {metric: own.column(metric).to_numpy() for metric in METRICS[plan.task.kind]}
        )
        counts = own.slice(0, 1).select(["group", "rows", "checksum"]).to_pylist()[0]
        yield counts["group"], Replicates(metrics, counts["rows"], counts["checksum"])
