"""What is asked of the rows for each kind of feature: one struct a feature, all of them in one aggregation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import singledispatch
from typing import NamedTuple

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig, kinds
from pipelines.fitted import (
    FittedBucketized,
    FittedChannel,
    FittedCrossed,
    FittedCyclic,
    FittedFeature,
    FittedNumeric,
    FittedSpec,
    FittedText,
    Scaling,
)
from pipelines.stages.aggregates import bend, crossed_word, only, percentiles, top_words
from pipelines.stages.target_means import by_fold
from pipelines.stages.texts import words_of


class Stats(NamedTuple):
    """What is known of a feature on a split; moments are those of the values before scaling, imputed ones too.

    `percentiles`: the values at 0.5, 1, 1.5 to 99.5 percent, and `shares` what share of all rows has each word of the
    vocabulary: both of what was there, nothing imputed. A text's percentiles are those of its number of words.
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


def statistics(spec: FeaturesConfig, counted: Column | None = None, sampled: Column | None = None) -> list[Column]:
    """The aggregates that `fit` and `stats_of` need, one struct a feature, over all rows or those that are `counted`;
    percentiles of the `sampled` rows alone, where that is given.
    """
    ask = Ask(only(counted), percentiles(sampled))
    columns = [(F.count("*") if counted is None else F.count_if(counted)).alias("_rows")]
    for _, name, feature in spec.declared:
        columns += [column.alias(made) for made, column in _asked(feature, name, ask)]
    return columns


def known_statistics(spec: FittedSpec, sampled: Column | None = None) -> list[Column]:
    """The aggregates that `stats_of` needs of rows that nothing is fitted on."""
    known = percentiles(sampled)
    return [F.count("*").alias("_rows"), *(_known_of(feature, known).alias(feature.name) for feature in spec.features)]


def stats_of(spec: FittedSpec, found: Row) -> tuple[Stats, ...]:
    """What is known of features on other rows, by these rows' `statistics`: counts, percentiles, shares."""
    rows = found["_rows"]
    return tuple(known_stats(rows, found[feature.name], getattr(feature, "vocabulary", None)) for feature in spec.features)


def known_stats(rows: int, values: Row, vocabulary: tuple[str, ...] | None = None) -> Stats:
    """A feature's counts, and its percentiles or its words' shares."""
    known = values.asDict()
    counts = {row["item"]: row["count"] for row in known.get("top", ())}
    shares = tuple(counts.get(word, 0) / max(rows, 1) for word in vocabulary or ()) if "top" in known else None
    found = known.get("percentiles")
    return Stats(rows, rows - known["present"], percentiles=None if found is None else tuple(found), shares=shares)


def words(spec: FeaturesConfig) -> dict[str, Column]:
    """The columns of the features that are made of words."""
    alone = {name: F.col(name) for name in (*spec.ordinal, *spec.target, *spec.categorical, *spec.hashed)}
    return {**alone, **{name: crossed_word(crossed.of) for name, crossed in spec.crossed.items()}}


def as_numeric(boolean: kinds.Boolean) -> kinds.Numeric:
    """A boolean as the number that it is."""
    return kinds.Numeric(impute=float(boolean.impute), scale="none", indicator=boolean.indicator)


Asked = Iterator[tuple[str, Column]]


@singledispatch
def _asked(feature: kinds.Kind, name: str, ask: Ask) -> Asked:
    raise NotImplementedError(type(feature))


@_asked.register
def _(feature: kinds.Numeric, name: str, ask: Ask) -> Asked:
    yield name, _numeric(ask.of(F.col(name).cast("double")), feature, ask.known)


@_asked.register
def _(feature: kinds.Boolean, name: str, ask: Ask) -> Asked:
    yield from _asked(as_numeric(feature), name, ask)


@_asked.register
def _(feature: kinds.Cyclic, name: str, ask: Ask) -> Asked:
    yield name, _known(ask.of(F.col(name).cast("double")), ask.known)


@_asked.register
def _(feature: kinds.Bucketized, name: str, ask: Ask) -> Asked:
    yield name, _known(ask.of(F.nullif(F.col(name).cast("double"), F.lit(math.nan))), ask.known)


@_asked.register(kinds.Time)
@_asked.register(kinds.Image)
def _(feature: kinds.Time | kinds.Image, name: str, ask: Ask) -> Asked:
    yield name, _present(ask.of(F.col(name)))


@_asked.register(kinds.Ordinal)
@_asked.register(kinds.Categorical)
@_asked.register(kinds.Hashed)
def _(feature: kinds.Ordinal | kinds.Categorical | kinds.Hashed, name: str, ask: Ask) -> Asked:
    yield name, _words(ask.of(F.col(name)))


@_asked.register
def _(feature: kinds.Crossed, name: str, ask: Ask) -> Asked:
    yield name, _words(ask.of(crossed_word(feature.of)))


@_asked.register
def _(feature: kinds.Target, name: str, ask: Ask) -> Asked:
    word, label = ask.of(F.col(name)), ask.of(F.col("label"))
    counted = by_fold(label.isNotNull().cast("int"), feature.folds)
    totals, deviation = by_fold(label, feature.folds), F.stddev_pop(label)
    yield name, _words(word, counted.alias("rows_by_fold"), totals.alias("totals_by_fold"), deviation.alias("deviation"))


@_asked.register
def _(feature: kinds.Sequence, name: str, ask: Ask) -> Asked:
    # Of the rows' own values: each moment of a series counts once, not once a window in which it lies.
    for column, numeric in feature.of.items():
        yield f"{name}_{column}", _numeric(ask.of(F.col(column).cast("double")), numeric, ask.known)


@_asked.register
def _(feature: kinds.Text, name: str, ask: Ask) -> Asked:
    yield name, _known(ask.of(_length(name)), ask.known)


@singledispatch
def _known_of(feature: FittedFeature, known: Callable[[Column], Column]) -> Column:
    """Of what has a vocabulary its words; of anything else whether it is there."""
    column = F.col(feature.name)
    return _words(column) if hasattr(feature, "vocabulary") else _present(column)


@_known_of.register
def _(feature: FittedNumeric, known: Callable[[Column], Column]) -> Column:
    return _of_scaled(F.col(feature.name), feature, known)


@_known_of.register
def _(feature: FittedChannel, known: Callable[[Column], Column]) -> Column:
    return _of_scaled(F.col(feature.of), feature, known)


@_known_of.register
def _(feature: FittedCyclic, known: Callable[[Column], Column]) -> Column:
    return _known(F.col(feature.name).cast("double"), known)


@_known_of.register
def _(feature: FittedBucketized, known: Callable[[Column], Column]) -> Column:
    return _known(F.nullif(F.col(feature.name).cast("double"), F.lit(math.nan)), known)


@_known_of.register
def _(feature: FittedCrossed, known: Callable[[Column], Column]) -> Column:
    return _words(crossed_word(feature.of))


@_known_of.register
def _(feature: FittedText, known: Callable[[Column], Column]) -> Column:
    return _known(_length(feature.name), known)


def _of_scaled(raw: Column, scaling: Scaling, known: Callable[[Column], Column]) -> Column:
    return _known(bend(raw.cast("double"), scaling.clip, scaling.log1p), known)


def _numeric(raw: Column, numeric: kinds.Numeric, known: Callable[[Column], Column]) -> Column:
    bent = bend(raw, numeric.clip, numeric.log1p)
    # What stands in for a missing number is in its own unit; quantiles cost most, so they are taken once where they can be.
    filled = [F.avg(raw).alias("raw_mean")] if numeric.impute == "mean" else []
    filled += [known(raw).alias("raw_percentiles")] if numeric.impute == "median" and bent is not raw else []
    return F.struct(
        F.count(bent).alias("present"),
        F.avg(bent).alias("mean"),
        F.var_pop(bent).alias("variance"),
        F.min(bent).alias("minimum"),
        F.max(bent).alias("maximum"),
        known(bent).alias("percentiles"),
        *filled,
    )


def _length(name: str) -> Column:
    return F.nullif(F.size(words_of(F.col(name))), F.lit(0)).cast("double")


def _present(value: Column) -> Column:
    return F.struct(F.count(value).alias("present"))


def _known(value: Column, known: Callable[[Column], Column]) -> Column:
    return F.struct(F.count(value).alias("present"), known(value).alias("percentiles"))


def _words(word: Column, *more: Column) -> Column:
    return F.struct(F.count(word).alias("present"), top_words(word).alias("top"), *more)
