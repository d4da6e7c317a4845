"""Permutation importance on Spark: tasks share out features, and score one sample of test rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import SparkSession

from pipelines.config import Task
from pipelines.evaluation.boosting import sample_rows
from pipelines.evaluation.importance import Importance, importance_of, primary_metric
from pipelines.features.fitted import FittedSpec
from pipelines.workers import forget_archives

Scores = Callable[[Iterator[pa.RecordBatch], str, tuple[str, ...]], Iterator[pa.RecordBatch]]


def permutation_importance(
    spark: SparkSession, score: Scores, model: str, task: Task, spec: FittedSpec, paths: Sequence[str], rows: int
) -> list[Importance]:
    """The importance of every feature, the greatest first, on at most `rows` rows of the features table's files.

    `score` makes batches of the columns named and of scores from batches of features, by the model at a URI.
    """
    features = spark.range(0, len(spec.features), 1, min(spark.sparkContext.defaultParallelism, len(spec.features)))
    work = partial(_importances, score=score, model=model, task=task, spec=spec, paths=tuple(paths), rows=rows)
    losses = features.mapInArrow(work, "feature string, loss double, deviation double").toArrow().to_pylist()
    return sorted((Importance(**row) for row in losses), key=lambda one: (-one.loss, one.feature))


def _importances(
    batches: Iterator[pa.RecordBatch],
    score: Scores,
    model: str,
    task: Task,
    spec: FittedSpec,
    paths: Sequence[str],
    rows: int,
) -> Iterator[pa.RecordBatch]:
    forget_archives()
    table = sample_rows(paths, rows, ["label", *spec.columns]).combine_chunks()
    [sample] = table.to_batches()

    def scored(given: pa.RecordBatch) -> pa.RecordBatch:
        return next(score(iter([given]), model, ("label",)))

    whole = primary_metric(scored(sample), task)
    for batch in batches:
        own = [importance_of(spec.features[n], sample, whole, task, scored, seed=n) for n in batch.column("id").to_pylist()]
        columns = ([getattr(one, name) for one in own] for name in Importance._fields)
        yield pa.RecordBatch.from_arrays([pa.array(values) for values in columns], names=list(Importance._fields))
