"""What is asked of the rows for each kind of feature, and what the answers say."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any, NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig, kinds
from pipelines.expressions import col, quoted
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
from pipelines.stages.aggregates import ROWS, Asked, bend, crossed_word
from pipelines.stages.texts import GROUPS, hashed_group, words_of
from pipelines.summaries import Levels


class Stats(NamedTuple):
    """What is known of a feature on a split; moments are those of the values before scaling, imputed ones too. A number that is
    not finite counts as missing.

    `percentiles`: the values at 0.5, 1, 1.5 to 99.5 percent, and `shares` what share of all rows has each word of the
    vocabulary (of a hash each group of buckets): both of what was there, nothing imputed. A text's percentiles are those of its
    number of words, an image's those of its length as text.

    `levels` are numbers in ascending order, all distinct ones where these are few, with the rows below each and at or below it;
    where percentiles are of a sample, so are they.
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
    levels: Sequence[float] | None = None
    rows_below: Sequence[float] | None = None
    rows_at_most: Sequence[float] | None = None

    def with_levels(self, levels: Levels | None) -> Stats:
        """The same, with the distribution of the values that were there."""
        if levels is None:
            return self
        # Of thousands of features: arrays take a fourth of the memory of tuples, and are equal where their numbers are.
        values, below, at_most = (array("d", each.tobytes()) for each in levels)
        return self._replace(levels=values, rows_below=below, rows_at_most=at_most)


def questions(spec: FeaturesConfig) -> list[Asked]:
    """What `fit` and `stats_of` ask of rows."""
    return [each for _, name, feature in spec.declared for each in _asked(feature, name)]


def known_questions(spec: FittedSpec) -> list[Asked]:
    """What `stats_of` asks of rows that nothing is fitted on."""
    return [_known_of(feature) for feature in spec.features]


def stats_of(spec: FittedSpec, found: Mapping[str, Any]) -> tuple[Stats, ...]:
    """What is known of features on other rows, by these rows' answers: counts, percentiles, shares."""
    return tuple(known_stats(found[ROWS], found[feature.name], feature) for feature in spec.features)


def known_stats(rows: int, known: Mapping[str, Any], feature: FittedFeature | None = None) -> Stats:
    """A feature's counts, and its percentiles or, where its words were counted, their shares."""
    found = known.get("percentiles")
    shares = None if feature is None or "counts" not in known else _shares(feature, known["counts"], rows)
    stats = Stats(rows, rows - known["present"], percentiles=None if found is None else tuple(found), shares=shares)
    return stats.with_levels(known.get("levels"))


def _shares(feature: FittedFeature, counts: Mapping[str, int], rows: int) -> tuple[float, ...]:
    hashed = isinstance(feature, FittedHashed)
    words = map(str, range(GROUPS)) if hashed else getattr(feature, "vocabulary", ())
    return tuple(counts.get(word, 0) / max(rows, 1) for word in words)


def words(spec: FeaturesConfig) -> dict[str, Column | str]:
    """The columns of the features that are made of words."""
    alone = {name: name for name in (*spec.ordinal, *spec.target, *spec.categorical, *spec.hashed)}
    return {**alone, **{name: crossed_word(crossed.of) for name, crossed in spec.crossed.items()}}


def as_numeric(boolean: kinds.Boolean) -> kinds.Numeric:
    """A boolean as the number that it is."""
    return kinds.Numeric(impute=float(boolean.impute), scale="none", indicator=boolean.indicator)


@singledispatch
def _asked(feature: kinds.Kind, name: str) -> Iterator[Asked]:
    raise NotImplementedError(type(feature))


@_asked.register
def _(feature: kinds.Numeric, name: str) -> Iterator[Asked]:
    yield _numeric(name, name, feature)


@_asked.register
def _(feature: kinds.Boolean, name: str) -> Iterator[Asked]:
    yield from _asked(as_numeric(feature), name)


@_asked.register
def _(feature: kinds.Cyclic, name: str) -> Iterator[Asked]:
    yield _number(name, name)


@_asked.register
def _(feature: kinds.Bucketized, name: str) -> Iterator[Asked]:
    yield _number(name, name)


@_asked.register
def _(feature: kinds.Time, name: str) -> Iterator[Asked]:
    # No more: a day has one weekday, and a month one month, so its parts move from interval to interval by themselves.
    yield Asked(name, there=name)


@_asked.register
def _(feature: kinds.Image, name: str) -> Iterator[Asked]:
    yield _number(name, _size(name))


@_asked.register(kinds.Ordinal)
@_asked.register(kinds.Categorical)
@_asked.register(kinds.Target)
def _(feature: kinds.Ordinal | kinds.Categorical | kinds.Target, name: str) -> Iterator[Asked]:
    yield Asked(name, word=name)


@_asked.register
def _(feature: kinds.Hashed, name: str) -> Iterator[Asked]:
    yield Asked(name, word=hashed_group(col(name), feature.buckets))


@_asked.register
def _(feature: kinds.Crossed, name: str) -> Iterator[Asked]:
    yield Asked(name, word=crossed_word(feature.of))


@_asked.register
def _(feature: kinds.Sequence, name: str) -> Iterator[Asked]:
    # Of the rows' own values: each moment of a series counts once, not once a window in which it lies.
    for column, numeric in feature.of.items():
        yield _numeric(f"{name}_{column}", column, numeric)


@_asked.register
def _(feature: kinds.Text, name: str) -> Iterator[Asked]:
    yield _number(name, _length(name))


@singledispatch
def _known_of(feature: FittedFeature) -> Asked:
    """Of what has a vocabulary its words; of anything else whether it is there."""
    name = feature.name
    return Asked(name, word=name) if hasattr(feature, "vocabulary") else Asked(name, there=name)


@_known_of.register
def _(feature: FittedNumeric) -> Asked:
    return _of_scaled(feature.name, feature.name, feature)


@_known_of.register
def _(feature: FittedChannel) -> Asked:
    return _of_scaled(feature.name, feature.of, feature)


@_known_of.register
def _(feature: FittedCyclic) -> Asked:
    return _number(feature.name, feature.name)


@_known_of.register
def _(feature: FittedBucketized) -> Asked:
    return _number(feature.name, feature.name)


@_known_of.register
def _(feature: FittedCrossed) -> Asked:
    return Asked(feature.name, word=crossed_word(feature.of))


@_known_of.register
def _(feature: FittedHashed) -> Asked:
    return Asked(feature.name, word=hashed_group(col(feature.name), feature.buckets))


@_known_of.register
def _(feature: FittedImage) -> Asked:
    return _number(feature.name, _size(feature.name))


@_known_of.register
def _(feature: FittedText) -> Asked:
    return _number(feature.name, _length(feature.name))


def _of_scaled(name: str, raw: str, scaling: Scaling) -> Asked:
    return _number(name, _bent(raw, scaling) if bends(scaling) else raw)


def _numeric(name: str, raw: str, numeric: kinds.Numeric) -> Asked:
    # What stands in for a missing number is in its own unit.
    return Asked(name, {"": _bent(raw, numeric), "raw_": raw} if bends(numeric) else {"": raw})


def _bent(raw: str, numeric: kinds.Numeric | Scaling) -> Column:
    return F.expr(bend(f"cast({quoted(raw)} as double)", numeric.clip, numeric.log1p))


def bends(numeric: kinds.Numeric | Scaling) -> bool:
    """Whether statistics are of other values than the raw ones."""
    return numeric.clip is not None or numeric.log1p


def _length(name: str) -> Column:
    return F.nullif(F.size(words_of(col(name))), F.lit(0))


def _size(name: str) -> Column:
    """How long an image's file is, as text: it tells of its measures, its colours and how much there is to see."""
    return F.length(col(name))


def _number(name: str, value: Column | str) -> Asked:
    return Asked(name, {"": value})
