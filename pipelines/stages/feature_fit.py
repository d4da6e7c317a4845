"""Fit features on the train split: every statistic of every feature in one aggregation."""

from __future__ import annotations

import math
from typing import NamedTuple

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from pipelines.config import Categorical, FeaturesConfig, Numeric
from pipelines.errors import DataError
from pipelines.fitted import (
    UNKNOWN_WORD,
    FittedBucketized,
    FittedCategorical,
    FittedCyclic,
    FittedFeature,
    FittedNumeric,
    FittedSpec,
)

QUARTILES = (0.25, 0.5, 0.75)
QUANTILE_ACCURACY = 10_000  # percentile_approx errs by at most 1 / this in rank
TRACKED_WORDS = 20_000  # approx_top_k counts exactly up to three quarters as many distinct words, a feature
FLAT = 1e-12  # a spread below this share of the magnitude is rounding, not variance


class Stats(NamedTuple):
    """What is known of a feature on the train split; numbers are those of the values before scaling, imputed ones too."""

    rows: int
    missing: int
    mean: float | None = None
    stddev: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    quartiles: tuple[float, ...] | None = None
    vocabulary: tuple[str, ...] | None = None


class Fit(NamedTuple):
    """A fitted spec and the statistics behind it, feature by feature in the same order."""

    spec: FittedSpec
    stats: tuple[Stats, ...]


def statistics(spec: FeaturesConfig, in_train: str) -> list[Column]:
    """The aggregates that `fit` needs, one struct a feature; `in_train` is SQL that is true of the train split's rows."""
    train = F.expr(in_train)
    columns = [F.count_if(train).alias("_rows")]
    for name, numeric in spec.numeric.items():
        raw = F.when(train, F.col(name).cast("double"))
        columns.append(_numeric_statistics(raw, numeric).alias(name))
    for name in spec.cyclic:
        raw = F.when(train, F.col(name).cast("double"))
        columns.append(F.struct(F.count(raw).alias("present"), _quantiles(raw).alias("raw_quartiles")).alias(name))
    for name in spec.bucketized:
        raw = F.col(name).cast("double")
        present = F.count_if(train & raw.isNotNull() & ~F.isnan(raw))
        columns.append(F.struct(present.alias("present")).alias(name))
    for name in spec.categorical:
        top = F.expr(f"approx_top_k(if({in_train}, `{name}`, null), {TRACKED_WORDS}, {TRACKED_WORDS})")
        present = F.count(F.when(train, F.col(name)))
        columns.append(F.struct(present.alias("present"), top.alias("top")).alias(name))
    return columns


def fit(spec: FeaturesConfig, found: Row) -> Fit:
    """Turn the one row of `statistics` into the fitted spec.

    Raises DataError when the train split is empty, or a feature is always missing there or does not vary.
    """
    rows = found["_rows"]
    if not rows:
        raise DataError("features: the train split is empty; expected labelled rows before features.split.validation_from.")
    fitted: list[tuple[FittedFeature, Stats]] = []
    for name, numeric in spec.numeric.items():
        fitted.append(_fit_numeric(name, numeric, rows, _present(name, found)))
    for name, cyclic in spec.cyclic.items():
        values = _present(name, found)
        feature = FittedCyclic(name=name, fill=values["raw_quartiles"][1], period=cyclic.period)
        fitted.append((feature, Stats(rows, rows - values["present"])))
    for name, bucketized in spec.bucketized.items():
        values = _present(name, found)
        fitted.append((FittedBucketized(name=name, edges=bucketized.edges), Stats(rows, rows - values["present"])))
    for name, categorical in spec.categorical.items():
        values = _present(name, found)
        vocabulary = _vocabulary(categorical, values["top"])
        feature_stats = Stats(rows, rows - values["present"], vocabulary=vocabulary)
        fitted.append((FittedCategorical(name=name, vocabulary=vocabulary), feature_stats))
    return Fit(FittedSpec(features=tuple(f for f, _ in fitted)), tuple(s for _, s in fitted))


def bend(value: Column, clip: tuple[float, float] | None, log1p: bool) -> Column:
    """Clip a number to its bounds and take log(1 + x), where declared; a missing one stays missing."""
    if clip:
        value = F.when(value.isNotNull(), F.greatest(F.lit(clip[0]), F.least(F.lit(clip[1]), value)))
    return F.log1p(value) if log1p else value


def _numeric_statistics(raw: Column, numeric: Numeric) -> Column:
    bent = bend(raw, numeric.clip, numeric.log1p)
    # What stands in for a missing number is in its own unit; quantiles cost most, so they are taken once where they can be.
    filled = [F.avg(raw).alias("raw_mean")] if numeric.impute == "mean" else []
    filled += [_quantiles(raw).alias("raw_quartiles")] if numeric.impute == "median" and bent is not raw else []
    return F.struct(
        F.count(bent).alias("present"),
        F.avg(bent).alias("mean"),
        F.var_pop(bent).alias("variance"),
        F.min(bent).alias("minimum"),
        F.max(bent).alias("maximum"),
        _quantiles(bent).alias("quartiles"),
        *filled,
    )


def _quantiles(value: Column) -> Column:
    return F.percentile_approx(value, list(QUARTILES), QUANTILE_ACCURACY)


def _present(name: str, found: Row) -> Row:
    values: Row = found[name]
    if not values["present"]:
        raise DataError(
            f"features.{name}: no value at all in the train split of {found['_rows']:,} rows. Leave the feature out."
        )
    return values


def _fit_numeric(name: str, numeric: Numeric, rows: int, values: Row) -> tuple[FittedNumeric, Stats]:
    if numeric.impute == "mean":
        fill = values["raw_mean"]
    elif numeric.impute == "median":
        fill = (values["raw_quartiles"] if "raw_quartiles" in values else values["quartiles"])[1]
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
        quartiles=tuple(values["quartiles"]),
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


def _vocabulary(categorical: Categorical, top: list[Row]) -> tuple[str, ...]:
    counted = [(row["item"], row["count"]) for row in top if _is_word(row["item"])]
    frequent = sorted((-count, word) for word, count in counted if count >= categorical.min_count)
    return tuple(word for _, word in frequent[: categorical.max_size])


def _is_word(item: str | None) -> bool:
    """Whether a model can tell it from others: to one "" is missing, and a NUL at the end is not there."""
    return bool(item) and item != UNKNOWN_WORD and "\0" not in str(item)
