"""Apply a fitted spec as Column expressions: floats for numbers, ids for words."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from functools import reduce
from operator import add, and_
from typing import NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from pipelines.fitted import (
    UNKNOWN_ID,
    FittedBucketized,
    FittedCategorical,
    FittedCrossed,
    FittedCyclic,
    FittedFeature,
    FittedNumeric,
    FittedOrdinal,
    FittedSpec,
)
from pipelines.stages.feature_fit import bend, crossed_word

SCANNED = 32  # more words are not looked for one after the other
WORDS_A_PLACE = 2
FLOAT_MAX = 3.4028234663852886e38


class Transformed(NamedTuple):
    """Rows that became features, and rows in which a number was not finite; together all rows that went in.

    `refused` holds, once `rows` has been written, how many the others are (as `refused`), without a pass of its own.
    """

    rows: DataFrame
    quarantined: DataFrame
    refused: Observation


def transform(examples: DataFrame, spec: FittedSpec, kept: tuple[str, ...]) -> Transformed:
    """Replace raw values by features, beside the `kept` columns, which pass as they are.

    A row in which a number would not be a finite float32 is quarantined with the feature's name and the raw row.
    """
    features = dict(output for feature in spec.features for output in _outputs(feature))
    computed = examples.select(
        *kept, *(column.alias(f"_{name}") for name, column in features.items()), F.to_json(F.struct("*")).alias("raw")
    )
    # Reasons are for the few that are refused: Spark interprets array_compact, and would make an array for every row.
    fine = reduce(and_, (_finite(F.col(f"_{name}")) for name in spec.numbers), F.lit(True))
    wrong = [F.when(~_finite(F.col(f"_{name}")), F.lit(f"{name}: expected a finite number")) for name in spec.numbers]
    types = dict.fromkeys(spec.numbers, "float") | {word.name: "int" for word in spec.words}
    refused = Observation()
    good = (
        computed.observe(refused, F.count_if(~fine).alias("refused"))
        .where(fine)
        .select(*kept, *(F.col(f"_{name}").cast(type_).alias(name) for name, type_ in types.items()))
    )
    reasons = F.array_compact(F.array(*wrong)) if wrong else F.expr("array()")
    bad = computed.where(~fine).select(reasons.alias("reasons"), F.lit(None).cast("string").alias("source_file"), "raw")
    return Transformed(good, bad, refused)


def _outputs(feature: FittedFeature) -> Iterator[tuple[str, Column]]:
    raw = F.col(feature.name)
    if isinstance(feature, FittedCategorical):
        yield feature.name, _word_id(raw, feature.vocabulary)
    elif isinstance(feature, FittedCrossed):
        yield feature.name, _word_id(crossed_word(feature.of), feature.vocabulary)
    elif isinstance(feature, FittedOrdinal):
        yield feature.name, _place(raw, feature)
    elif isinstance(feature, FittedCyclic):
        angle = F.coalesce(raw.cast("double"), F.lit(feature.fill)) * (2 * math.pi / feature.period)
        yield from zip(feature.outputs, (F.sin(angle), F.cos(angle)), strict=True)
    elif isinstance(feature, FittedBucketized):
        yield feature.name, _bucket(raw.cast("double"), feature.edges)
    else:
        made = (_scaled(raw.cast("double"), feature), raw.isNull().cast("double"))
        yield from zip(feature.outputs, made, strict=False)


def _scaled(raw: Column, feature: FittedNumeric) -> Column:
    bent = bend(F.coalesce(raw, F.lit(feature.fill)), feature.clip, feature.log1p)
    return (bent - F.lit(feature.offset)) / F.lit(feature.scale)


def _bucket(value: Column, edges: tuple[float, ...]) -> Column:
    reached = [(value >= F.lit(edge)).cast("int") for edge in edges]
    # NaN is greater than any number to Spark, and missing to the model.
    return F.when(value.isNotNull() & ~F.isnan(value), reduce(add, reached, F.lit(1))).otherwise(UNKNOWN_ID)


def _word_id(word: Column, vocabulary: tuple[str, ...]) -> Column:
    if not vocabulary:
        return F.lit(UNKNOWN_ID)
    ids = {word: number for number, word in enumerate(vocabulary, start=1)}
    if len(ids) <= SCANNED:
        return F.coalesce(F.try_element_at(_map(ids), word), F.lit(UNKNOWN_ID))
    # Spark looks for a key from the first to the last: of maps of a few words each, CRC-32 says which to look in.
    places: list[dict[str, int]] = [{} for _ in range(-(-len(ids) // WORDS_A_PLACE))]
    for known, number in ids.items():
        places[zlib.crc32(known.encode()) % len(places)][known] = number
    place = F.pmod(F.crc32(word.cast("binary")), F.lit(len(places))).cast("int")
    maps = F.array(*(_map(some or {"": UNKNOWN_ID}) for some in places))
    return F.coalesce(F.try_element_at(F.get(maps, place), word), F.lit(UNKNOWN_ID))


def _map(ids: dict[str, int]) -> Column:
    return F.map_from_arrays(F.lit(np.array(list(ids), dtype=np.str_)), F.lit(np.array(list(ids.values()), dtype=np.int32)))


def _place(word: Column, feature: FittedOrdinal) -> Column:
    last = len(feature.vocabulary) - 1
    known, places = F.array(*map(F.lit, feature.vocabulary)), F.array(*(F.lit(place / last) for place in range(last + 1)))
    return F.coalesce(F.try_element_at(F.map_from_arrays(known, places), word), F.lit(feature.fill))


def _finite(value: Column) -> Column:
    return value.isNotNull() & ~F.isnan(value) & (F.abs(value) <= FLOAT_MAX)
