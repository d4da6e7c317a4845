"""What is asked of many columns at once, in one pass over the rows: moments, percentiles of a sample, and frequent words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.expressions import all_of, col, cols, number
from pipelines.fitted import PART
from pipelines.summaries import Levels
from pipelines.survey import GROUP, MERGED, NUMBER, SUMMARY, THERE, WORD, Measure, Survey, files_of, merge, summarize
from pipelines.survey import PART as TASK
from schemas.names import internal

SAMPLED_ROWS = 200_000  # that percentiles are taken of: the standard error of a median is then 0.0011 in rank
ROWS = internal("rows")
# Types of columns that are read as they are, and what others are made for it; of what is but there or not, whether it is.
TAKEN = {NUMBER: ("double", "float", "bigint", "int", "smallint", "tinyint"), WORD: ("string",)}
MADE = {NUMBER: "double", WORD: "string"}


class Asked(NamedTuple):
    """What is asked of a feature: of `numbers` all that is known of a number, by a prefix of its answers; of a `word` how often
    each occurs; of what is neither whether it is `there`. A name stands for the column as it is.
    """

    name: str
    numbers: Mapping[str, Column | str] = MappingProxyType({})
    word: Column | str | None = None
    there: Column | str | None = None


class Question(NamedTuple):
    """What is asked of each group of rows; those whose group is null are left out.

    Of many rows, every `rows`-th by its id is looked at, and percentiles are those of every `values`-th: see `every`.
    """

    asked: Sequence[Asked]
    by: Column | str
    rows: int = 1
    values: int = 1


class _Measure(NamedTuple):
    """One thing that is asked of a feature."""

    name: str
    prefix: str
    kind: str
    column: Column | str


def every(rows: int, enough: int = SAMPLED_ROWS) -> int:
    """Of so many rows every how many-th leaves `enough`, or somewhat more."""
    return max(rows // enough, 1)


def laid_out(rows: DataFrame, questions: Sequence[Question]) -> DataFrame:
    """The rows, with a column more for each thing that is asked of what no column holds as it is; so they are to be written.

    Raises DataError when a column that is asked as it is is not there.
    """
    types = {name.lower(): type_ for name, type_ in rows.dtypes}
    asked = {str(m.column) for q in questions for m in _measures(q.asked) if isinstance(m.column, str)}
    if lacking := sorted(name for name in asked if name.lower() not in types):
        raise DataError(
            f"features: the examples have no column {', '.join(lacking)}; received {', '.join(rows.columns)}. Derive them, or "
            f"leave the features out of the model."
        )
    made = {}
    for place, question in enumerate(questions):
        if not isinstance(question.by, str):
            made[_group(place)] = question.by
        for at, measure in enumerate(_measures(question.asked)):
            column = measure.column
            if isinstance(column, str) and types[column.lower()] in TAKEN.get(measure.kind, (types[column.lower()],)):
                continue
            column = col(column) if isinstance(column, str) else column
            there = F.when(column.isNotNull(), F.lit(True))
            made[_place(place, at)] = column.cast(MADE[measure.kind]) if measure.kind in MADE else there
    return rows.select("*", *(column.alias(name) for name, column in made.items()))


def answers(
    spark: SparkSession, folder: str, questions: Sequence[Question], ids: str = "row_id"
) -> list[dict[str, dict[str, Any]]]:
    """What the rows in a folder's Parquet files, laid out for these questions, answer to each: by group and feature, and how
    many rows a group has (`ROWS`).

    A number's answers are present, mean, variance (the population's), minimum, maximum, percentiles and levels, None of no
    value; a word's are present and counts, by word. A number that is NaN or infinite is missing. Percentiles and levels are
    exact on the rows that they are of, counts up to `TRACKED_WORDS` distinct words. All is found in one pass: tasks read row
    groups by Arrow, without Spark's rows between, since to turn columns to rows and back takes longer than all else. What they
    found is merged in the order of the files, so the same files have the same answers to the last bit.
    """
    files = files_of(folder)
    measures = [list(_measures(question.asked)) for question in questions]
    surveys = tuple(_survey(place, question, measures[place], files.columns) for place, question in enumerate(questions))
    found: list[dict[str, dict[str, Any]]] = [{} for _ in questions]
    if not files.parts:
        return found
    numbers = spark.range(0, len(files.parts), 1, len(files.parts))
    parts = numbers.mapInArrow(partial(summarize, parts=files.parts, surveys=surveys, ids=ids), SUMMARY)
    ordered = parts.repartition(GROUP, "key").sortWithinPartitions(GROUP, "key", TASK, "at")
    of_key = [(place, measure) for place, asked in enumerate(measures) for measure in (None, *asked)]
    for row in ordered.mapInArrow(merge, MERGED).collect():
        place, known = of_key[row.key]
        of_group = found[place].setdefault(row[GROUP], nothing(questions[place].asked))
        if known is None:
            of_group[ROWS] = row.present
        else:
            of_group[known.name] |= {f"{known.prefix}{name}": value for name, value in _told(known.kind, row)}
    return found


def nothing(asked: Sequence[Asked]) -> dict[str, Any]:
    """The answers of no rows."""
    none = Row(present=0, mean=0.0, squares=0.0, minimum=None, maximum=None, percentiles=None, levels=None, words=[], counts=[])
    found: dict[str, Any] = {ROWS: 0, **{each.name: {} for each in asked}}
    for measure in _measures(asked):
        found[measure.name] |= {f"{measure.prefix}{name}": value for name, value in _told(measure.kind, none)}
    return found


def _survey(place: int, question: Question, measures: Sequence[_Measure], columns: Sequence[str]) -> Survey:
    """A question, asked of the columns that are there."""
    there = {name.lower(): name for name in columns}

    def named(made: str, column: Column | str) -> str:
        return made if made in columns else there[str(column).lower()]

    by = named(_group(place), question.by)
    taken = [Measure(measure.kind, named(_place(place, at), measure.column)) for at, measure in enumerate(measures)]
    return Survey(by, (Measure(THERE, by), *taken), question.rows, question.values)


def _group(place: int) -> str:
    return internal(f"group_{place}")


def _place(place: int, at: int) -> str:
    return internal(f"asked_{place}_{at}")


def _measures(asked: Sequence[Asked]) -> Iterator[_Measure]:
    for each in asked:
        for prefix, column in each.numbers.items():
            yield _Measure(each.name, prefix, NUMBER, column)
        if each.word is not None:
            yield _Measure(each.name, "", WORD, each.word)
        if each.there is not None:
            yield _Measure(each.name, "", THERE, each.there)


def _told(kind: str, row: Row) -> Iterator[tuple[str, Any]]:
    yield "present", row.present
    if kind == NUMBER:
        yield "variance", row.squares / max(row.present, 1)
        yield "levels", None if row.levels is None else Levels.from_bytes(row.levels)
        yield from ((name, row[name]) for name in ("mean", "minimum", "maximum", "percentiles"))
    if kind == WORD:
        yield "counts", dict(zip(row.words, row.counts, strict=True))


def bend(value: str, clip: tuple[float, float] | None, log1p: bool) -> str:
    """Clip a number to its bounds and take log(1 + x), where declared; a missing one stays missing, and NaN stays NaN. SQL."""
    if clip:
        clipped = f"greatest({number(clip[0])}, least({number(clip[1])}, {value}))"
        # To Spark, NaN is greater than any number, and what is missing is nothing to compare with.
        value = f"case when {value} is null or isnan({value}) then {value} else {clipped} end"
    return f"log1p({value})" if log1p else value


def finite(value: Column) -> Column:
    """A number, missing where it is NaN or infinite: less itself, neither is 0."""
    return F.when(value - value == 0, value)


def crossed_word(of: tuple[str, ...]) -> Column:
    """Several columns' words as one, missing where one of them is."""
    there = [part.isNotNull() & (part != "") & ~F.contains(part, F.lit(PART)) for part in cols(of)]
    return F.when(all_of(there), F.concat_ws(PART, *cols(of)))
