"""Fit features on the train split: every statistic of every feature in one aggregation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_
from typing import NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from pipelines.config import Categorical, Crossed, FeaturesConfig, Numeric, Ordinal
from pipelines.errors import DataError
from pipelines.fitted import (
    OF_WORDS,
    PART,
    UNKNOWN_WORD,
    FittedBucketized,
    FittedCategorical,
    FittedCrossed,
    FittedCyclic,
    FittedFeature,
    FittedNumeric,
    FittedOrdinal,
    FittedSpec,
)

PERCENTILES = tuple(step / 200 for step in range(1, 200))
FIRST, MEDIAN, THIRD = (PERCENTILES.index(share) for share in (0.25, 0.5, 0.75))
QUANTILE_ACCURACY = 10_000  # percentile_approx errs by at most 1 / this in rank
TRACKED_WORDS = 20_000  # approx_top_k counts exactly up to three quarters as many distinct words, a feature
SAMPLED = 400_000  # rows that percentiles are taken of: the standard error of a median is then 0.0008 in rank
AT_ONCE = 8
FEW_ROWS = 1_000_000
FLAT = 1e-12  # a spread below this share of the magnitude is rounding, not variance


class Stats(NamedTuple):
    """What is known of a feature on a split; moments are those of the values before scaling, imputed ones too.

    `percentiles`: the values at 0.5, 1, 1.5 to 99.5 percent, and `shares` what share of all rows has each word of the
    vocabulary: both of what was there, nothing imputed.
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


class Fit(NamedTuple):
    """A fitted spec and the statistics behind it, feature by feature in the same order."""

    spec: FittedSpec
    stats: tuple[Stats, ...]


def statistics(spec: FeaturesConfig, counted: Column | None = None, sampled: Column | None = None) -> list[Column]:
    """The aggregates that `fit` and `stats_of` need, one struct a feature, over all rows or those that are `counted`;
    percentiles of the `sampled` rows alone, where that is given.
    """
    of, known = (_all if counted is None else _only(counted)), percentiles(sampled)
    columns = [(F.count("*") if counted is None else F.count_if(counted)).alias("_rows")]
    for name, numeric in _numbers(spec).items():
        columns.append(_numeric_statistics(of(F.col(name).cast("double")), numeric, known).alias(name))
    for name in spec.cyclic:
        columns.append(_known(of(F.col(name).cast("double")), known).alias(name))
    for name in spec.bucketized:
        columns.append(_known(of(F.nullif(F.col(name).cast("double"), F.lit(math.nan))), known).alias(name))
    for name, word in words(spec).items():
        columns.append(_words(of(word)).alias(name))
    return columns


def words(spec: FeaturesConfig) -> dict[str, Column]:
    """The columns of the features that are made of words."""
    alone = {name: F.col(name) for name in (*spec.ordinal, *spec.categorical)}
    return {**alone, **{name: crossed_word(crossed.of) for name, crossed in spec.crossed.items()}}


def crossed_word(of: tuple[str, ...]) -> Column:
    """Several columns' words as one, missing where one of them is."""
    there = [F.col(part).isNotNull() & (F.col(part) != "") & ~F.contains(F.col(part), F.lit(PART)) for part in of]
    return F.when(reduce(and_, there), F.concat_ws(PART, *of))


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


def known_statistics(spec: FittedSpec, sampled: Column | None = None) -> list[Column]:
    """The aggregates that `stats_of` needs of rows that nothing is fitted on."""
    columns, known = [F.count("*").alias("_rows")], percentiles(sampled)
    for feature in spec.features:
        if isinstance(feature, OF_WORDS):
            word = crossed_word(feature.of) if isinstance(feature, FittedCrossed) else F.col(feature.name)
            columns.append(_words(word).alias(feature.name))
            continue
        value = F.col(feature.name).cast("double")
        if isinstance(feature, FittedNumeric):
            value = bend(value, feature.clip, feature.log1p)
        if isinstance(feature, FittedBucketized):
            value = F.nullif(value, F.lit(math.nan))
        columns.append(_known(value, known).alias(feature.name))
    return columns


def stats_of(spec: FittedSpec, found: Row) -> tuple[Stats, ...]:
    """What is known of features on other rows, by these rows' `statistics`: counts, percentiles, shares."""
    rows, stats = found["_rows"], []
    for feature in spec.features:
        values = found[feature.name]
        missing = rows - values["present"]
        if isinstance(feature, OF_WORDS):
            stats.append(Stats(rows, missing, shares=_shares(feature.vocabulary, values["top"], rows)))
        else:
            stats.append(Stats(rows, missing, percentiles=_of(values["percentiles"])))
    return tuple(stats)


def fit(spec: FeaturesConfig, found: Row) -> Fit:
    """Turn the train split's row of `statistics` into the fitted spec.

    Raises DataError when the train split is empty, or a feature is always missing there or does not vary.
    """
    rows = found["_rows"]
    if not rows:
        raise DataError("features: the train split is empty; expected labelled rows in it. Check features.split.")
    fitted: list[tuple[FittedFeature, Stats]] = []
    for name, numeric in _numbers(spec).items():
        fitted.append(_fit_numeric(name, numeric, rows, _present(name, found)))
    for name, ordinal in spec.ordinal.items():
        fitted.append(_fit_ordinal(name, ordinal, rows, _present(name, found)))
    for name, cyclic in spec.cyclic.items():
        values = _present(name, found)
        feature = FittedCyclic(name=name, fill=values["percentiles"][MEDIAN], period=cyclic.period)
        fitted.append((feature, Stats(rows, rows - values["present"], percentiles=_of(values["percentiles"]))))
    for name, bucketized in spec.bucketized.items():
        values = _present(name, found)
        stats = Stats(rows, rows - values["present"], percentiles=_of(values["percentiles"]))
        fitted.append((FittedBucketized(name=name, edges=bucketized.edges), stats))
    for name, categorical in spec.categorical.items():
        values = _present(name, found)
        vocabulary = _vocabulary(categorical, values["top"])
        fitted.append((FittedCategorical(name=name, vocabulary=vocabulary), _word_stats(vocabulary, rows, values)))
    for name, crossed in spec.crossed.items():
        values = _present(name, found)
        vocabulary = _vocabulary(crossed, values["top"])
        together = FittedCrossed(name=name, of=crossed.of, vocabulary=vocabulary)
        fitted.append((together, _word_stats(vocabulary, rows, values)))
    return Fit(FittedSpec(features=tuple(f for f, _ in fitted)), tuple(s for _, s in fitted))


def bend(value: Column, clip: tuple[float, float] | None, log1p: bool) -> Column:
    """Clip a number to its bounds and take log(1 + x), where declared; a missing one stays missing."""
    if clip:
        value = F.when(value.isNotNull(), F.greatest(F.lit(clip[0]), F.least(F.lit(clip[1]), value)))
    return F.log1p(value) if log1p else value


def percentiles(sampled: Column | None = None) -> Callable[[Column], Column]:
    """An aggregate for many columns: the values at `PERCENTILES`, of those that are there and, where given, `sampled`."""
    # One literal, made once: a list would be a literal a percentile, and each array takes milliseconds to reach Java.
    at, accuracy = F.lit(np.array(PERCENTILES)), F.lit(QUANTILE_ACCURACY)
    of = _all if sampled is None else _only(sampled)
    return lambda value: F.percentile_approx(of(value), at, accuracy)


def top_words(word: Column, tracked: int) -> Column:
    """An aggregate: words with their counts, exact up to three quarters of `tracked` distinct ones."""
    return F.call_function("approx_top_k", word, F.lit(tracked), F.lit(tracked))


def _numbers(spec: FeaturesConfig) -> dict[str, Numeric]:
    """Numbers, and booleans as the numbers that they are."""
    booleans = {
        name: Numeric(impute=float(boolean.impute), scale="none", indicator=boolean.indicator)
        for name, boolean in spec.boolean.items()
    }
    return {**spec.numeric, **booleans}


def _numeric_statistics(raw: Column, numeric: Numeric, known: Callable[[Column], Column]) -> Column:
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


def _all(value: Column) -> Column:
    return value


def _only(counted: Column) -> Callable[[Column], Column]:
    return lambda value: F.when(counted, value)


def _known(value: Column, known: Callable[[Column], Column]) -> Column:
    return F.struct(F.count(value).alias("present"), known(value).alias("percentiles"))


def _words(word: Column) -> Column:
    return F.struct(F.count(word).alias("present"), top_words(word, TRACKED_WORDS).alias("top"))


def _of(values: list[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)


def _shares(vocabulary: tuple[str, ...], top: list[Row], rows: int) -> tuple[float, ...]:
    counts = {row["item"]: row["count"] for row in top}
    return tuple(counts.get(word, 0) / max(rows, 1) for word in vocabulary)


def _present(name: str, found: Row) -> Row:
    values: Row = found[name]
    if not values["present"]:
        raise DataError(
            f"features.{name}: no value at all in the train split of {found['_rows']:,} rows. Leave the feature out."
        )
    if "percentiles" in values and values["percentiles"] is None:
        raise DataError(
            f"features.{name}: {values['present']:,} values in the train split of {found['_rows']:,} rows, too few for "
            f"percentiles. Leave the feature out, or bring it in as a word."
        )
    return values


def _fit_numeric(name: str, numeric: Numeric, rows: int, values: Row) -> tuple[FittedNumeric, Stats]:
    if numeric.impute == "mean":
        fill = values["raw_mean"]
    elif numeric.impute == "median":
        fill = (values["raw_percentiles"] if "raw_percentiles" in values else values["percentiles"])[MEDIAN]
    else:
        fill = numeric.impute
    stats = _with_imputed(_bend_number(fill, numeric), rows, values)
    offset, scale = _scaling(name, numeric, stats)
    feature = FittedNumeric(
        name=name,
        fill=fill,
        clip=numeric.clip,
        log1p=numeric.log1p,
        offset=offset,
        scale=scale,
        indicator=numeric.indicator,
    )
    return feature, stats


def _fit_ordinal(name: str, ordinal: Ordinal, rows: int, values: Row) -> tuple[FittedOrdinal, Stats]:
    counts = {row["item"]: row["count"] for row in values["top"] if row["item"] is not None}
    reached = np.cumsum([counts.get(word, 0) for word in ordinal.order])
    if not reached[-1]:
        raise DataError(
            f"features.ordinal.{name}: no word of the train split is in its order ({', '.join(ordinal.order)}); found "
            f"{', '.join(sorted(counts)[:5])}. Mend the order."
        )
    place = int(np.searchsorted(reached, reached[-1] / 2))
    feature = FittedOrdinal(name=name, vocabulary=ordinal.order, fill=place / (len(ordinal.order) - 1))
    return feature, _word_stats(ordinal.order, rows, values)


def _word_stats(vocabulary: tuple[str, ...], rows: int, values: Row) -> Stats:
    shares = _shares(vocabulary, values["top"], rows)
    return Stats(rows, rows - values["present"], vocabulary=vocabulary, shares=shares)


def _bend_number(value: float, numeric: Numeric) -> float:
    if numeric.clip:
        value = min(max(value, numeric.clip[0]), numeric.clip[1])
    return math.log1p(value) if numeric.log1p else value


def _with_imputed(fill: float, rows: int, values: Row) -> Stats:
    """Moments of the present values merged with those of the imputed ones, all equal to `fill`.

    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979), eq. 2.1.
    """
    present, missing, mean = values["present"], rows - values["present"], values["mean"]
    shift = fill - mean
    variance = (present * values["variance"] + shift * shift * present * missing / rows) / rows
    return Stats(
        rows=rows,
        missing=missing,
        mean=mean + shift * missing / rows,
        stddev=math.sqrt(variance),
        minimum=min(values["minimum"], fill) if missing else values["minimum"],
        maximum=max(values["maximum"], fill) if missing else values["maximum"],
        quartiles=tuple(values["percentiles"][at] for at in (FIRST, MEDIAN, THIRD)),
        percentiles=tuple(values["percentiles"]),
    )


def _scaling(name: str, numeric: Numeric, stats: Stats) -> tuple[float, float]:
    """Offset and scale of (x - offset) / scale."""
    assert stats.mean is not None and stats.stddev is not None and stats.quartiles is not None
    assert stats.minimum is not None and stats.maximum is not None
    low, median, high = stats.quartiles
    offset, scale = {
        "zscore": (stats.mean, stats.stddev),
        "minmax": (stats.minimum, stats.maximum - stats.minimum),
        "robust": (median, high - low),
        "none": (0.0, 1.0),
    }[numeric.scale]
    if scale <= FLAT * max(abs(stats.minimum), abs(stats.maximum)) or scale == 0:
        raise DataError(
            f"features.numeric.{name}: no variance in the train split (scale of {numeric.scale} is {scale:g}, values from "
            f"{stats.minimum:g} to {stats.maximum:g}). Leave the feature out, or give it another scaler."
        )
    return offset, scale


def _vocabulary(categorical: Categorical | Crossed, top: list[Row]) -> tuple[str, ...]:
    counted = [(row["item"], row["count"]) for row in top if _is_word(row["item"])]
    frequent = sorted((-count, word) for word, count in counted if count >= categorical.min_count)
    return tuple(word for _, word in frequent[: categorical.max_size])


def _is_word(item: str | None) -> bool:
    """Whether a model can tell it from others: to one "" is missing, and a NUL at the end is not there."""
    return bool(item) and item != UNKNOWN_WORD and "\0" not in str(item)
