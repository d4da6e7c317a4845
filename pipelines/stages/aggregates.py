"""What many columns hold, in one pass over the rows: moments, percentiles of a sample, and frequent words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial, reduce
from operator import and_
from types import MappingProxyType
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from pipelines.fitted import PART
from pipelines.summaries import GROUP, MERGED, NUMBER, SAMPLED, SUMMARY, THERE, WORD, merge, summarize
from pipelines.summaries import PART as TASK

SAMPLED_ROWS = 400_000  # that percentiles are taken of: the standard error of a median is then 0.0008 in rank
ROWS = "_rows"


class Asked(NamedTuple):
    """What is asked of a feature: of `numbers` all that is known of a number, by a prefix of its answers; of a `word` how often
    each occurs; of what is neither whether it is `there`.
    """

    name: str
    numbers: Mapping[str, Column] = MappingProxyType({})
    word: Column | None = None
    there: Column | None = None


class _Measure(NamedTuple):
    """One column of what is asked."""

    name: str
    prefix: str
    kind: str
    column: Column


def sample(row_id: str, rows: int, enough: int = SAMPLED_ROWS) -> Column | None:
    """Selects at least `enough` of so many rows by their ids, which are hashes; None where that would be all of them."""
    every = rows // enough
    return F.pmod(row_id, F.lit(every)) == 0 if every > 1 else None


def answers(rows: DataFrame, asked: Sequence[Asked], by: Column, sampled: Column | None = None) -> dict[str, dict[str, Any]]:
    """What the rows of each group answer, by feature, and how many they are (`_rows`). A group that is null is 'None'.

    A number's answers are present, mean, variance (the population's), minimum, maximum and percentiles, of `sampled` rows where
    that is given, None of no value; a word's are present and counts, by word. Percentiles are exact on the rows that they are
    of, counts up to `TRACKED_WORDS` distinct words. Each task hands its rows to Arrow and NumPy, column by column: Spark's own
    aggregates of hundreds of columns are more code than Java compiles well, and its sketches look at one value at a time. What
    tasks found is merged in their order, so rows in the same order have the same answers to the last bit.
    """
    measures = [_Measure(ROWS, "", THERE, F.lit(True)), *_measures(asked)]
    kinds = tuple(measure.kind for measure in measures)
    beside = {GROUP: F.coalesce(by, F.lit(str(None))), TASK: F.spark_partition_id(), SAMPLED: _or_true(sampled)}
    columns = [measure.column.alias(f"_{at}") for at, measure in enumerate(measures)]
    taken = rows.select(*(column.alias(name) for name, column in beside.items()), *columns)
    parts = taken.mapInArrow(partial(summarize, kinds=kinds), SUMMARY)
    ordered = parts.repartition(GROUP, "key").sortWithinPartitions(GROUP, "key", TASK, "at")
    found: dict[str, dict[str, Any]] = {}
    for row in ordered.mapInArrow(merge, MERGED).collect():
        of_group = found.setdefault(row[GROUP], nothing(asked))
        measure = measures[row.key]
        if measure.name == ROWS:
            of_group[ROWS] = row.present
        else:
            of_group[measure.name] |= {f"{measure.prefix}{name}": value for name, value in _told(measure.kind, row)}
    return found


def nothing(asked: Sequence[Asked]) -> dict[str, Any]:
    """The answers of no rows."""
    none = Row(present=0, mean=0.0, squares=0.0, minimum=None, maximum=None, percentiles=None, words=[], counts=[])
    found: dict[str, Any] = {ROWS: 0, **{each.name: {} for each in asked}}
    for measure in _measures(asked):
        found[measure.name] |= {f"{measure.prefix}{name}": value for name, value in _told(measure.kind, none)}
    return found


def _measures(asked: Sequence[Asked]) -> Iterator[_Measure]:
    for each in asked:
        for prefix, column in each.numbers.items():
            yield _Measure(each.name, prefix, NUMBER, column)
        if each.word is not None:
            yield _Measure(each.name, "", WORD, each.word)
        if each.there is not None:
            yield _Measure(each.name, "", THERE, F.when(each.there.isNotNull(), F.lit(True)))


def _told(kind: str, row: Row) -> Iterator[tuple[str, Any]]:
    yield "present", row.present
    if kind == NUMBER:
        yield "variance", row.squares / max(row.present, 1)
        yield from ((name, row[name]) for name in ("mean", "minimum", "maximum", "percentiles"))
    if kind == WORD:
        yield "counts", dict(zip(row.words, row.counts, strict=True))


def _or_true(condition: Column | None) -> Column:
    """Whether it is true; nothing known is false."""
    return F.lit(True) if condition is None else F.coalesce(condition, F.lit(False))


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
