"""Labels summed by word, for words that stand for their mean label: of all rows, and of the rows outside each fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig, kinds
from pipelines.expressions import col
from pipelines.fitted import FittedTarget

FOLD_SEED = 20040731


class LabelSums(NamedTuple):
    """The most frequent words, and by word (rows) and fold (columns) how many rows there are and the sum of their labels.

    Of all rows, whatever their word: how many there are by fold, the sums of their labels, and the labels' deviation.
    """

    words: tuple[str, ...]
    rows: npt.NDArray[np.float64]
    totals: npt.NDArray[np.float64]
    all_rows: npt.NDArray[np.float64]
    all_totals: npt.NDArray[np.float64]
    deviation: float


def fold_of(row_id: Column, folds: int) -> Column:
    """Which of `folds` parts a row is in, by a hash of its id."""
    return F.pmod(F.xxhash64(F.lit(FOLD_SEED), row_id), F.lit(folds)).cast("int")


def _by_fold(value: Column, folds: int) -> Column:
    """An aggregate: an array of the sums of a value by fold, nothing counting as 0."""
    fold = fold_of(F.col("row_id"), folds)
    return F.array(*(F.coalesce(F.sum(F.when(fold == at, value)), F.lit(0)).cast("double") for at in range(folds)))


def sum_labels(rows: DataFrame, spec: FeaturesConfig) -> dict[str, LabelSums]:
    """The labels of the train split's rows by word, two jobs a feature."""
    return {name: _summed(rows, name, target) for name, target in spec.target.items()}


def fit_target(name: str, sums: LabelSums, smoothing: float) -> FittedTarget:
    """Means drawn to the mean of all: (total + smoothing * prior) / (rows + smoothing).

    Micci-Barreca: A preprocessing scheme for high-cardinality categorical attributes in classification and prediction
    problems (2001), eq. 3 and 4, with n / (n + smoothing) for the weight of a word of n rows.
    """
    rows, totals = sums.all_rows, sums.all_totals
    prior = totals.sum() / rows.sum()
    priors = _mean(totals.sum() - totals, rows.sum() - rows, prior, 0.0)
    outside_rows, outside = (counts.sum(axis=1, keepdims=True) - counts for counts in (sums.rows, sums.totals))
    means = _mean(sums.totals.sum(axis=1), sums.rows.sum(axis=1), prior, smoothing)
    of_fold = _mean(outside, outside_rows, priors, smoothing).T
    return FittedTarget(
        name=name,
        vocabulary=sums.words,
        prior=float(prior),
        deviation=sums.deviation or 1.0,
        means=tuple(means.tolist()),
        out_of_fold=tuple(tuple(fold) for fold in of_fold.tolist()),
        priors_out_of_fold=tuple(priors.tolist()),
    )


def _mean(
    totals: npt.NDArray[np.float64], rows: npt.NDArray[np.float64], prior: npt.NDArray[np.float64] | float, smoothing: float
) -> npt.NDArray[np.float64]:
    """Smoothed means; without any row or smoothing, the prior."""
    weight = rows + smoothing
    whole: npt.NDArray[np.float64] = np.where(weight > 0, (totals + smoothing * prior) / np.where(weight > 0, weight, 1), prior)
    return whole


def _summed(rows: DataFrame, name: str, target: kinds.Target) -> LabelSums:
    word = col(name)
    known = rows.where(word.isNotNull() & (word != "") & ~F.contains(word, F.lit("\0")))
    sums = [_by_fold(value, target.folds).alias(name) for name, value in (("rows", F.lit(1)), ("totals", F.col("label")))]
    grouped = known.groupBy(word.alias("word")).agg(F.count("*").alias("count"), *sums)
    found = grouped.orderBy(F.desc("count"), "word").limit(target.max_size).collect()
    whole = rows.agg(*sums, F.stddev_pop("label").alias("deviation")).collect()[0]
    shape = (len(found), target.folds)
    return LabelSums(
        tuple(row.word for row in found),
        np.array([row.rows for row in found], float).reshape(shape),
        np.array([row.totals for row in found], float).reshape(shape),
        np.array(whole.rows, float),
        np.array(whole.totals, float),
        float(whole.deviation or 0.0),
    )
