"""Aggregates over many columns and rows: percentiles and frequent words by sketches, in jobs that Java compiles well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.fitted import PART

PERCENTILES = tuple(step / 200 for step in range(1, 200))
QUANTILE_ACCURACY = 10_000  # percentile_approx errs by at most 1 / this in rank
TRACKED_WORDS = 20_000  # approx_top_k counts exactly up to three quarters as many distinct words, a feature
SAMPLED = 400_000  # rows that percentiles are taken of: the standard error of a median is then 0.0008 in rank
AT_ONCE = 8
FEW_ROWS = 1_000_000


def sample(row_id: str, rows: int, enough: int = SAMPLED) -> Column | None:
    """Selects at least `enough` of so many rows by their ids, which are hashes; None where that would be all of them."""
    every = rows // enough
    return F.pmod(row_id, F.lit(every)) == 0 if every > 1 else None


def aggregated(rows: DataFrame, columns: Sequence[Column], by: str, expected: int) -> DataFrame:
    """`rows.groupBy(by).agg(*columns)` of about `expected` rows, in one job; of many rows by several narrow aggregations.

    What Spark generates for hundreds of aggregates at once is more than Java compiles well: eight columns at a time, each
    reading its own columns alone, take less, once there are rows enough to pay for compiling each of them.
    """
    width = AT_ONCE if expected > FEW_ROWS else len(columns)
    parts = [columns[at : at + width] for at in range(0, len(columns), width)]
    # The group as a word, which no group lacks: a join drops what is null.
    key = F.coalesce(F.col(by), F.lit(str(None))).alias(by)
    return reduce(lambda left, right: left.join(F.broadcast(right), by), (rows.groupBy(key).agg(*part) for part in parts))


def percentiles(sampled: Column | None = None) -> Callable[[Column], Column]:
    """An aggregate for many columns: the values at `PERCENTILES`, of those that are there and, where given, `sampled`."""
    # One literal, made once: a list would be a literal a percentile, and each array takes milliseconds to reach Java.
    at, accuracy = F.lit(np.array(PERCENTILES)), F.lit(QUANTILE_ACCURACY)
    of = only(sampled)
    return lambda value: F.percentile_approx(of(value), at, accuracy)


def top_words(word: Column, tracked: int = TRACKED_WORDS) -> Column:
    """An aggregate: words with their counts, exact up to three quarters of `tracked` distinct ones."""
    return F.call_function("approx_top_k", word, F.lit(tracked), F.lit(tracked))


def only(counted: Column | None) -> Callable[[Column], Column]:
    """Makes a value missing in rows that are not `counted`; without that, leaves it."""
    return (lambda value: value) if counted is None else (lambda value: F.when(counted, value))


def bend(value: Column, clip: tuple[float, float] | None, log1p: bool) -> Column:
    """Clip a number to its bounds and take log(1 + x), where declared; a missing one stays missing."""
    if clip:
        value = F.when(value.isNotNull(), F.greatest(F.lit(clip[0]), F.least(F.lit(clip[1]), value)))
    return F.log1p(value) if log1p else value


def crossed_word(of: tuple[str, ...]) -> Column:
    """Several columns' words as one, missing where one of them is."""
    there = [F.col(part).isNotNull() & (F.col(part) != "") & ~F.contains(F.col(part), F.lit(PART)) for part in of]
    return F.when(reduce(and_, there), F.concat_ws(PART, *of))
