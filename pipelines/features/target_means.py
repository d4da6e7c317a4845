"""Labels summed by word, for words that stand for their mean label: of all rows, and of the rows outside each fold."""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig
from pipelines.expressions import col
from pipelines.features.folds import FOLD_SEED
from pipelines.features.kinds.target import LabelSums, Target


def fold_of(row_id: Column, folds: int) -> Column:
    """Which of `folds` parts a row is in, by a hash of its id."""
    return F.pmod(F.xxhash64(F.lit(FOLD_SEED), row_id), F.lit(folds)).cast("int")


def _by_fold(value: Column, folds: int) -> Column:
    """An aggregate: an array of the sums of a value by fold, nothing counting as 0."""
    fold = fold_of(F.col("row_id"), folds)
    return F.array(*(F.coalesce(F.sum(F.when(fold == index, value)), F.lit(0)).cast("double") for index in range(folds)))


def sum_labels(rows: DataFrame, spec: FeaturesConfig) -> dict[str, LabelSums]:
    """The labels of the train split's rows by word, two jobs a feature."""
    return {name: _summed(rows, name, target) for name, target in spec.target.items()}


def _summed(rows: DataFrame, name: str, target: Target) -> LabelSums:
    word = col(name)
    known = rows.where(word.isNotNull() & (word != "") & ~F.contains(word, F.lit("\0")))
    sums = [_by_fold(value, target.folds).alias(name) for name, value in (("rows", F.lit(1)), ("totals", F.col("label")))]
    grouped = known.groupBy(word.alias("word")).agg(F.count("*").alias("count"), *sums)
    top_words = grouped.orderBy(F.desc("count"), "word").limit(target.max_size).collect()
    totals = rows.agg(*sums, F.stddev_pop("label").alias("deviation")).collect()[0]
    shape = (len(top_words), target.folds)
    return LabelSums(
        tuple(row.word for row in top_words),
        np.array([row.rows for row in top_words], float).reshape(shape),
        np.array([row.totals for row in top_words], float).reshape(shape),
        np.array(totals.rows, float),
        np.array(totals.totals, float),
        float(totals.deviation or 0.0),
    )
