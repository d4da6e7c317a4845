"""Aggregates over many columns and rows: percentiles and frequent words by sketches, in jobs that Java compiles well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.fitted import PART

PERCENTILES = tuple(step / 200 for step in range(1, 200))
QUANTILE_ACCURACY = 10_000  # percentile_approx errs by at most 1 / this in rank
SAMPLE_ACCURACY = 2_000  # the same of a sample, which errs more by itself: a summary a fifth as long takes half the time
TRACKED_WORDS = 20_000  # approx_top_k counts exactly up to three quarters as many distinct words, a feature
SAMPLED = 400_000  # rows that percentiles are taken of: the standard error of a median is then 0.0008 in rank
AT_ONCE = 8
PARTS_AT_ONCE = 3
FEW_ROWS = 1_000_000


def sample(row_id: str, rows: int, enough: int = SAMPLED) -> Column | None:
    """Selects at least `enough` of so many rows by their ids, which are hashes; None where that would be all of them."""
    every = rows // enough
    return F.pmod(row_id, F.lit(every)) == 0 if every > 1 else None


class Question(NamedTuple):
    """Aggregates of the rows for which `of` is true, of all rows where it is None.

    `ask` makes their columns: with a condition, they are of these rows alone; with None, of all rows that they are given.
    """

    ask: Callable[[Column | None], list[Column]]
    of: Column | None = None


def answers(rows: DataFrame, questions: Sequence[Question], by: str, expected: int) -> dict[str, dict[str, Any]]:
    """What the rows of each group, by a column, answer; about `expected` rows in all. A group that is null is 'None'.

    Few rows answer all in one aggregation. Of many, the rows of each group and question are selected first, and a few
    columns aggregated at a time: without groups, sketches and columns that it does not need, what Spark generates is short, and
    keeps its sums in variables; hundreds of aggregates at once are more than Java compiles well.
    """
    group = F.coalesce(F.col(by), F.lit(str(None))).alias(by)
    if expected <= FEW_ROWS:
        columns = [column for question in questions for column in question.ask(question.of)]
        return {row[by]: row.asDict() for row in rows.groupBy(group).agg(*columns).collect()}
    found: dict[str, dict[str, Any]] = {row[by]: {} for row in rows.select(group).distinct().collect()}
    parts = []
    asking = [(question.of, question.ask(None)) for question in questions]
    for name in found:
        mine = rows.where(group == name)
        for of, asked in asking:
            selected = mine if of is None else mine.where(of)
            parts += [(name, selected.agg(*asked[at : at + AT_ONCE])) for at in range(0, len(asked), AT_ONCE)]
    # Side by side, so that Spark plans and compiles one while another runs.
    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        for name, part in zip((name for name, _ in parts), pool.map(lambda pair: pair[1].collect()[0], parts), strict=True):
            found[name] |= part.asDict()
    return found


def percentiles(sampled: Column | None = None, *, of_sample: bool = False) -> Callable[[Column], Column]:
    """An aggregate for many columns: the values at `PERCENTILES`, of those that are there and, where given, `sampled`;
    `of_sample` says that all rows which it will see are a sample.
    """
    # One literal, made once: a list would be a literal a percentile, and each array takes milliseconds to reach Java.
    at = F.lit(np.array(PERCENTILES))
    accuracy = F.lit(SAMPLE_ACCURACY if of_sample or sampled is not None else QUANTILE_ACCURACY)
    of = only(sampled)
    return lambda value: F.percentile_approx(of(value), at, accuracy)


def top_words(word: Column, tracked: int = TRACKED_WORDS) -> Column:
    """An aggregate: words with their counts, exact up to three quarters of `tracked` distinct ones."""
    return F.call_function("approx_top_k", word, F.lit(tracked), F.lit(tracked))


def only(counted: Column | None) -> Callable[[Column], Column]:
    """Makes a value missing in rows that are not `counted`; without that, leaves it."""
    return (lambda value: value) if counted is None else (lambda value: F.when(counted, value))


def bend(value: Column, clip: tuple[float, float] | None, log1p: bool) -> Column:
    """Clip a number to its bounds and take log(1 + x), where declared; a missing one stays missing, and NaN stays NaN."""
    if clip:
        clipped = F.greatest(F.lit(clip[0]), F.least(F.lit(clip[1]), value))
        # To Spark, NaN is greater than any number, and what is missing is nothing to compare with.
        value = F.when(value.isNull() | F.isnan(value), value).otherwise(clipped)
    return F.log1p(value) if log1p else value


def finite(value: Column) -> Column:
    """A number, missing where it is NaN or infinite: less itself, neither is 0."""
    return F.when(value - value == 0, value)


def crossed_word(of: tuple[str, ...]) -> Column:
    """Several columns' words as one, missing where one of them is."""
    there = [F.col(part).isNotNull() & (F.col(part) != "") & ~F.contains(F.col(part), F.lit(PART)) for part in of]
    return F.when(reduce(and_, there), F.concat_ws(PART, *of))
