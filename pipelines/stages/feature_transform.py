"""Apply a fitted spec as Column expressions: floats for numbers, ids for words, arrays for sequences, images and texts."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from functools import singledispatch

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.expressions import col, cols, number, quoted, sum_of
from pipelines.fitted import (
    UNKNOWN_ID,
    UNKNOWN_TOKEN,
    FittedBucketized,
    FittedCategorical,
    FittedChannel,
    FittedCrossed,
    FittedCyclic,
    FittedFeature,
    FittedHashed,
    FittedImage,
    FittedNumeric,
    FittedOrdinal,
    FittedSpec,
    FittedTarget,
    FittedText,
    FittedTime,
    Scaling,
)
from pipelines.stages.aggregates import bend, crossed_word
from pipelines.stages.feature_checks import Transformed, split_by_features, working_columns
from pipelines.stages.images import levels
from pipelines.stages.target_means import fold_of
from pipelines.stages.texts import bucket_of, hashed_id, words_of
from schemas.names import internal

SCANNED = 8  # more words are not looked for one after the other
PLACES_A_WORD = 2
Outputs = Iterator[tuple[str, Column]]


def transform(examples: DataFrame, spec: FittedSpec, kept: tuple[str, ...], out_of_fold: bool = False) -> Transformed:
    """Replace raw values by features, beside the `kept` columns, which pass as they are.

    `out_of_fold` gives rows of the train split (by their columns `split` and `row_id`) the mean labels of the rows outside
    their own fold; all others get what a served model gives. A row in which a number would not be a finite float32, or an
    image no PNG, is quarantined with the feature's name and the raw row.
    """
    features = dict(output for feature in spec.features for output in _outputs(feature))
    if out_of_fold:
        features |= {f.name: _out_of_fold(f) for f in spec.features if isinstance(f, FittedTarget)}
    computed = examples.select(*cols(kept), *working_columns(features, spec))
    split = split_by_features(computed, spec)
    made = (col(internal(name)).alias(name) for name in spec.columns)
    return Transformed(split.rows.select(*cols(kept), *made), split.quarantined)


def usable(examples: DataFrame, spec: FittedSpec) -> Transformed:
    """Split rows by whether they would become features as `transform` makes them; the rows pass as they are, raw values."""
    features = dict(output for feature in spec.features for output in _outputs(feature))
    split = split_by_features(examples.select("*", *working_columns(features, spec)), spec)
    return Transformed(split.rows.select(*cols(examples.columns)), split.quarantined)


@singledispatch
def _outputs(feature: FittedFeature) -> Outputs:
    raise NotImplementedError(type(feature))


@_outputs.register
def _(feature: FittedNumeric) -> Outputs:
    yield feature.name, F.expr(_scaled(f"cast({quoted(feature.name)} as double)", feature))
    if feature.indicator:
        yield feature.numbers[1], col(feature.name).isNull().cast("double")


@_outputs.register
def _(feature: FittedCyclic) -> Outputs:
    angle = F.coalesce(col(feature.name).cast("double"), F.lit(feature.fill)) * (2 * math.pi / feature.period)
    yield from zip(feature.numbers, (F.sin(angle), F.cos(angle)), strict=True)


@_outputs.register
def _(feature: FittedOrdinal) -> Outputs:
    yield feature.name, _value_of(col(feature.name), feature.vocabulary, feature.values)


@_outputs.register
def _(feature: FittedTime) -> Outputs:
    local = F.from_utc_timestamp(col(feature.name), feature.zone)
    there = local.isNotNull()
    # Each part counted from 0, and how many of them come round.
    parts = {"hour": (F.hour(local), 24), "weekday": (F.weekday(local), 7), "month": (F.month(local) - 1, 12)}
    for part in feature.parts:
        value, period = parts[part]
        if feature.encode == "ids":
            yield f"{feature.name}_{part}", F.when(there, value + 1).otherwise(UNKNOWN_ID)
            continue
        angle = value.cast("double") * (2 * math.pi / period)
        for side, found in (("sin", F.sin(angle)), ("cos", F.cos(angle))):
            yield f"{feature.name}_{part}_{side}", F.when(there, found).otherwise(0.0)
    if feature.holidays:
        holiday = F.to_date(local).isin(*feature.holidays)
        yield f"{feature.name}_holiday", F.when(there, holiday.cast("double")).otherwise(0.0)


@_outputs.register
def _(feature: FittedTarget) -> Outputs:
    yield feature.name, _value_of(col(feature.name), feature.vocabulary, feature.values)


@_outputs.register
def _(feature: FittedBucketized) -> Outputs:
    yield feature.name, _bucket(col(feature.name).cast("double"), feature.edges)


@_outputs.register
def _(feature: FittedCategorical) -> Outputs:
    yield feature.name, _word_id(col(feature.name), feature.vocabulary)


@_outputs.register
def _(feature: FittedCrossed) -> Outputs:
    yield feature.name, _word_id(crossed_word(feature.of), feature.vocabulary)


@_outputs.register
def _(feature: FittedHashed) -> Outputs:
    yield feature.name, hashed_id(col(feature.name), feature.buckets)


@_outputs.register
def _(feature: FittedChannel) -> Outputs:
    yield feature.name, F.expr(f"transform({quoted(feature.name)}, value -> {_scaled('value', feature)})")


@_outputs.register
def _(feature: FittedImage) -> Outputs:
    yield feature.name, levels(col(feature.name), feature)


@_outputs.register
def _(feature: FittedText) -> Outputs:
    first = F.slice(words_of(col(feature.name)), 1, feature.length)

    def known(word: Column) -> Column:
        if feature.buckets:
            return bucket_of(word, feature.buckets)
        return _word_id(word, feature.vocabulary, unknown=UNKNOWN_TOKEN)

    none = F.array_repeat(F.lit(0), feature.length)
    yield feature.name, F.slice(F.concat(F.transform(first, known), none), 1, feature.length)


def _out_of_fold(feature: FittedTarget) -> Column:
    word = col(feature.name)
    own = fold_of(F.col("row_id"), len(feature.out_of_fold))
    folds = [_value_of(word, feature.vocabulary, values) for values in feature.values_out_of_fold]
    served = _value_of(word, feature.vocabulary, feature.values)
    return F.when(F.col("split") == "train", F.get(F.array(*folds), own)).otherwise(served)


def _value_of(word: Column, vocabulary: tuple[str, ...], values: list[float]) -> Column:
    """The value that stands at a word's id."""
    return F.get(_numbers(values, "double"), _word_id(word, vocabulary))


def _scaled(raw: str, feature: Scaling) -> str:
    """A number, scaled: as SQL, since a Column takes a dozen calls of Java, and there may be thousands of numbers."""
    bent = bend(f"coalesce({raw}, {number(feature.fill)})", feature.clip, feature.log1p)
    return f"({bent} - {number(feature.offset)}) / {number(feature.scale)}"


def _bucket(value: Column, edges: tuple[float, ...]) -> Column:
    reached = [(value >= F.lit(edge)).cast("int") for edge in edges]
    # NaN is greater than any number to Spark, and missing to the model.
    return F.when(value.isNotNull() & ~F.isnan(value), sum_of([F.lit(1), *reached])).otherwise(UNKNOWN_ID)


def _word_id(word: Column, vocabulary: tuple[str, ...], unknown: int = UNKNOWN_ID) -> Column:
    """The word's place in the vocabulary, counted on from `unknown`."""
    if not vocabulary:
        return F.lit(unknown)
    if len(vocabulary) <= SCANNED:
        place = F.array_position(_words(vocabulary), word)
        return F.coalesce(F.when(place > 0, place + unknown), F.lit(unknown)).cast("int")
    # Words lie by place, which CRC-32 tells; from where a place begins, as many are looked at as the fullest has. Those of
    # the next places among them do no harm: no word is there twice. Beyond the last there is nothing, which is no word.
    places = len(vocabulary) * PLACES_A_WORD
    lying = sorted((zlib.crc32(known.encode()) % places, number) for number, known in enumerate(vocabulary))
    begins = np.searchsorted([place for place, _ in lying], np.arange(places)).tolist()
    fullest = int(np.bincount([place for place, _ in lying]).max())
    begin = F.get(_numbers(begins, "int"), F.pmod(F.crc32(word.cast("binary")), F.lit(places)).cast("int"))
    words = _words([vocabulary[number] for _, number in lying])
    ids = _numbers([number + 1 + unknown for _, number in lying], "int")
    looked_at = [(F.get(words, begin + at) == word, F.get(ids, begin + at)) for at in range(fullest)]
    return F.coalesce(*(F.when(*pair) for pair in looked_at), F.lit(unknown))


def _words(words: Sequence[str]) -> Column:
    """Words, none with a NUL, as a literal array: one text that Spark cuts once, since each literal takes time to reach it."""
    return F.split(F.lit("\0".join(words)), "\0")


def _numbers(values: Sequence[float], type_: str) -> Column:
    """Numbers as a literal array."""
    return F.split(F.lit(",".join(map(repr, values))), ",").cast(f"array<{type_}>")
