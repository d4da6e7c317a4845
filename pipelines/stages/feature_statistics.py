"""What is asked of the rows for each kind of feature, and what the answers say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import singledispatch
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig, kinds
from pipelines.fitted import (
    FittedBucketized,
    FittedChannel,
    FittedCrossed,
    FittedCyclic,
    FittedFeature,
    FittedHashed,
    FittedImage,
    FittedNumeric,
    FittedSpec,
    FittedText,
    Scaling,
)
from pipelines.stages.aggregates import Question, bend, crossed_word, finite, only, percentiles, top_words
from pipelines.stages.target_means import by_fold
from pipelines.stages.texts import GROUPS, hashed_group, words_of

BESIDE = " beside "  # between a feature's name, which has no space, and what else was asked of it


class Stats(NamedTuple):
    """What is known of a feature on a split; moments are those of the values before scaling, imputed ones too. A number that is
    not finite counts as missing.

    `percentiles`: the values at 0.5, 1, 1.5 to 99.5 percent, and `shares` what share of all rows has each word of the
    vocabulary (of a hash each group of buckets): both of what was there, nothing imputed. A text's percentiles are those of its
    number of words, an image's those of its length as text.
    """

    rows: int
    missing: int
    mean: float | None = None
    stddev: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quartiles: tuple[float, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    percentiles: tuple[float, ...] | None = None
    shares: tuple[float, ...] | None = None


class Ask(NamedTuple):
    """How a value is asked for: `of` makes it missing in rows that do not count, `known` takes percentiles."""

    of: Callable[[Column], Column]
    known: Callable[[Column], Column]


class Asked(NamedTuple):
    """The aggregates of one feature by name, which together are what is found of it: those that Spark compiles, percentiles,
    and frequent words.
    """

    name: str
    plain: Mapping[str, Column]
    percentiles: Mapping[str, Column] = MappingProxyType({})
    words: Mapping[str, Column] = MappingProxyType({})


def questions(spec: FeaturesConfig, counted: Column | None = None, sampled: Column | None = None) -> list[Question]:
    """What `fit` and `stats_of` ask of all rows, or those that are `counted`, each question of the rows that it needs;
    percentiles of the `sampled` rows alone, where that is given.
    """

    def asked(condition: Column | None) -> list[Asked]:
        ask = Ask(only(condition), percentiles(of_sample=sampled is not None))
        return [each for _, name, feature in spec.declared for each in _asked(feature, name, ask)]

    def plain(condition: Column | None) -> list[Column]:
        rows = F.count("*") if condition is None else F.count_if(condition)
        return [rows.alias("_rows"), *_plain(asked(condition))]

    both = counted if sampled is None else sampled if counted is None else counted & sampled
    return [
        Question(plain, counted),
        Question(lambda condition: _beside("percentiles", asked(condition)), both),
        Question(lambda condition: _beside("words", asked(condition)), counted),
    ]


def known_statistics(spec: FittedSpec, sampled: Column | None = None) -> list[Column]:
    """The aggregates that `stats_of` needs of rows that nothing is fitted on."""
    ask = Ask(only(None), percentiles(sampled))
    asked = [_known_of(feature, ask) for feature in spec.features]
    return [F.count("*").alias("_rows"), *_plain(asked), *_beside("percentiles", asked), *_beside("words", asked)]


def together(found: Mapping[str, Any] | Row) -> dict[str, Any]:
    """What was found, by feature: what stands beside a feature's name joins it."""
    row = found.asDict() if isinstance(found, Row) else dict(found)
    whole = {name: value.asDict() if isinstance(value, Row) else value for name, value in row.items() if BESIDE not in name}
    for name, value in row.items():
        if BESIDE in name:
            whole[name.partition(BESIDE)[0]] |= value.asDict()
    return whole


def stats_of(spec: FittedSpec, found: Mapping[str, Any] | Row) -> tuple[Stats, ...]:
    """What is known of features on other rows, by these rows' answers: counts, percentiles, shares."""
    values = together(found)
    rows = values["_rows"]
    return tuple(known_stats(rows, values[feature.name], feature) for feature in spec.features)


def known_stats(rows: int, known: Mapping[str, Any], feature: FittedFeature | None = None) -> Stats:
    """A feature's counts, and its percentiles or, where its words were counted, their shares."""
    found = known.get("percentiles")
    shares = None
    if feature is not None and "top" in known:
        shares = _shares(feature, {row["item"]: row["count"] for row in known["top"]}, rows)
    return Stats(rows, rows - known["present"], percentiles=None if found is None else tuple(found), shares=shares)


def _shares(feature: FittedFeature, counts: Mapping[str | None, int], rows: int) -> tuple[float, ...]:
    hashed = isinstance(feature, FittedHashed)
    words = map(str, range(GROUPS)) if hashed else getattr(feature, "vocabulary", ())
    return tuple(counts.get(word, 0) / max(rows, 1) for word in words)


def _plain(asked: Sequence[Asked]) -> list[Column]:
    return [F.struct(*_named(each.plain)).alias(each.name) for each in asked]


def _beside(what: Literal["percentiles", "words"], asked: Sequence[Asked]) -> list[Column]:
    found = ((each.name, getattr(each, what)) for each in asked)
    return [F.struct(*_named(columns)).alias(f"{name}{BESIDE}{what}") for name, columns in found if columns]


def _named(columns: Mapping[str, Column]) -> list[Column]:
    return [column.alias(name) for name, column in columns.items()]


def words(spec: FeaturesConfig) -> dict[str, Column]:
    """The columns of the features that are made of words."""
    alone = {name: F.col(name) for name in (*spec.ordinal, *spec.target, *spec.categorical, *spec.hashed)}
    return {**alone, **{name: crossed_word(crossed.of) for name, crossed in spec.crossed.items()}}


def as_numeric(boolean: kinds.Boolean) -> kinds.Numeric:
    """A boolean as the number that it is."""
    return kinds.Numeric(impute=float(boolean.impute), scale="none", indicator=boolean.indicator)


@singledispatch
def _asked(feature: kinds.Kind, name: str, ask: Ask) -> Iterator[Asked]:
    raise NotImplementedError(type(feature))


@_asked.register
def _(feature: kinds.Numeric, name: str, ask: Ask) -> Iterator[Asked]:
    yield _numeric(name, ask.of(F.col(name).cast("double")), feature, ask)


@_asked.register
def _(feature: kinds.Boolean, name: str, ask: Ask) -> Iterator[Asked]:
    yield from _asked(as_numeric(feature), name, ask)


@_asked.register
def _(feature: kinds.Cyclic, name: str, ask: Ask) -> Iterator[Asked]:
    yield _known(name, ask.of(finite(F.col(name).cast("double"))), ask)


@_asked.register
def _(feature: kinds.Bucketized, name: str, ask: Ask) -> Iterator[Asked]:
    yield _known(name, ask.of(F.nullif(F.col(name).cast("double"), F.lit(math.nan))), ask)


@_asked.register
def _(feature: kinds.Time, name: str, ask: Ask) -> Iterator[Asked]:
    # No more: a day has one weekday, and a month one month, so its parts move from interval to interval by themselves.
    yield Asked(name, _present(ask.of(F.col(name))))


@_asked.register
def _(feature: kinds.Image, name: str, ask: Ask) -> Iterator[Asked]:
    yield _known(name, ask.of(_size(name)), ask)


@_asked.register(kinds.Ordinal)
@_asked.register(kinds.Categorical)
def _(feature: kinds.Ordinal | kinds.Categorical, name: str, ask: Ask) -> Iterator[Asked]:
    yield _words(name, ask.of(F.col(name)))


@_asked.register
def _(feature: kinds.Hashed, name: str, ask: Ask) -> Iterator[Asked]:
    yield _words(name, ask.of(hashed_group(F.col(name), feature.buckets)))


@_asked.register
def _(feature: kinds.Crossed, name: str, ask: Ask) -> Iterator[Asked]:
    yield _words(name, ask.of(crossed_word(feature.of)))


@_asked.register
def _(feature: kinds.Target, name: str, ask: Ask) -> Iterator[Asked]:
    label = ask.of(F.col("label"))
    counted = by_fold(label.isNotNull().cast("int"), feature.folds)
    sums = {"rows_by_fold": counted, "totals_by_fold": by_fold(label, feature.folds), "deviation": F.stddev_pop(label)}
    asked = _words(name, ask.of(F.col(name)))
    yield asked._replace(plain={**asked.plain, **sums})


@_asked.register
def _(feature: kinds.Sequence, name: str, ask: Ask) -> Iterator[Asked]:
    # Of the rows' own values: each moment of a series counts once, not once a window in which it lies.
    for column, numeric in feature.of.items():
        yield _numeric(f"{name}_{column}", ask.of(F.col(column).cast("double")), numeric, ask)


@_asked.register
def _(feature: kinds.Text, name: str, ask: Ask) -> Iterator[Asked]:
    yield _known(name, ask.of(_length(name)), ask)


@singledispatch
def _known_of(feature: FittedFeature, ask: Ask) -> Asked:
    """Of what has a vocabulary its words; of anything else whether it is there."""
    column = F.col(feature.name)
    return _words(feature.name, column) if hasattr(feature, "vocabulary") else Asked(feature.name, _present(column))


@_known_of.register
def _(feature: FittedNumeric, ask: Ask) -> Asked:
    return _of_scaled(feature.name, F.col(feature.name), feature, ask)


@_known_of.register
def _(feature: FittedChannel, ask: Ask) -> Asked:
    return _of_scaled(feature.name, F.col(feature.of), feature, ask)


@_known_of.register
def _(feature: FittedCyclic, ask: Ask) -> Asked:
    return _known(feature.name, finite(F.col(feature.name).cast("double")), ask)


@_known_of.register
def _(feature: FittedBucketized, ask: Ask) -> Asked:
    return _known(feature.name, F.nullif(F.col(feature.name).cast("double"), F.lit(math.nan)), ask)


@_known_of.register
def _(feature: FittedCrossed, ask: Ask) -> Asked:
    return _words(feature.name, crossed_word(feature.of))


@_known_of.register
def _(feature: FittedHashed, ask: Ask) -> Asked:
    return _words(feature.name, hashed_group(F.col(feature.name), feature.buckets))


@_known_of.register
def _(feature: FittedImage, ask: Ask) -> Asked:
    return _known(feature.name, _size(feature.name), ask)


@_known_of.register
def _(feature: FittedText, ask: Ask) -> Asked:
    return _known(feature.name, _length(feature.name), ask)


def _of_scaled(name: str, raw: Column, scaling: Scaling, ask: Ask) -> Asked:
    return _known(name, finite(bend(raw.cast("double"), scaling.clip, scaling.log1p)), ask)


def _numeric(name: str, raw: Column, numeric: kinds.Numeric, ask: Ask) -> Asked:
    # Numbers that are not finite count as missing: one of them would leave no moment finite.
    raw, bent = finite(raw), finite(bend(raw, numeric.clip, numeric.log1p))
    # What stands in for a missing number is in its own unit; quantiles cost most, so they are taken once where they can be.
    mean = {"raw_mean": F.avg(raw)} if numeric.impute == "mean" else {}
    raw_percentiles = {"raw_percentiles": ask.known(raw)} if numeric.impute == "median" and _bends(numeric) else {}
    moments = {"mean": F.avg(bent), "variance": F.var_pop(bent), "minimum": F.min(bent), "maximum": F.max(bent)}
    return Asked(name, {**_present(bent), **moments, **mean}, {"percentiles": ask.known(bent), **raw_percentiles})


def _bends(numeric: kinds.Numeric) -> bool:
    return numeric.clip is not None or numeric.log1p


def _length(name: str) -> Column:
    return F.nullif(F.size(words_of(F.col(name))), F.lit(0)).cast("double")


def _size(name: str) -> Column:
    """How long an image's file is, as text: it tells of its measures, its colours and how much there is to see."""
    return F.length(F.col(name)).cast("double")


def _present(value: Column) -> dict[str, Column]:
    return {"present": F.count(value)}


def _known(name: str, value: Column, ask: Ask) -> Asked:
    return Asked(name, _present(value), {"percentiles": ask.known(value)})


def _words(name: str, word: Column) -> Asked:
    return Asked(name, _present(word), words={"top": top_words(word)})
