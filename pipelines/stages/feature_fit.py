"""Fit features on the train split: what its statistics make of a declared spec."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from pipelines.config import FeaturesConfig, Regression, kinds
from pipelines.errors import DataError
from pipelines.fitted import (
    UNKNOWN_WORD,
    FittedBucketized,
    FittedCategorical,
    FittedChannel,
    FittedCrossed,
    FittedCyclic,
    FittedFeature,
    FittedHashed,
    FittedImage,
    FittedLabel,
    FittedNumeric,
    FittedOrdinal,
    FittedSpec,
    FittedTarget,
    FittedText,
    FittedTime,
    Scaling,
)
from pipelines.stages.aggregates import ROWS
from pipelines.stages.feature_statistics import Stats, as_numeric, bends, known_stats
from pipelines.stages.target_means import LabelSums, fit_target
from pipelines.summaries import PERCENTILES

FIRST, MEDIAN, THIRD = (PERCENTILES.index(share) for share in (0.25, 0.5, 0.75))
FLAT = 1e-14  # a deviation of at most this share of the mean is rounding, not variance
Fitted = Iterator[tuple[FittedFeature, Stats]]


class LabelMoments(NamedTuple):
    """Of a regression's labels in the train split: mean and population deviation once transformed as the task says, and the
    least and the greatest label itself.
    """

    mean: float
    deviation: float
    minimum: float
    maximum: float


class Fit(NamedTuple):
    """A fitted spec and the statistics behind it, feature by feature in the same order."""

    spec: FittedSpec
    stats: tuple[Stats, ...]


class Found(NamedTuple):
    """What is known of the train split: its answers to `questions`, each text's words by how often they occur, and the labels
    by word of each feature that is a mean label.
    """

    answers: Mapping[str, Any]
    words: Mapping[str, Mapping[str, int]]
    labels: Mapping[str, LabelSums]

    @property
    def rows(self) -> int:
        """Rows of the train split."""
        return int(self.answers[ROWS])

    def of(self, name: str) -> dict[str, Any]:
        """A feature's statistics; raises DataError when it has no value, or too few."""
        values: dict[str, Any] = self.answers[name]
        if not values["present"]:
            raise DataError(
                f"features.{name}: no value at all in the train split of {self.rows:,} rows. Leave the feature out."
            )
        if "percentiles" in values and values["percentiles"] is None:
            raise DataError(
                f"features.{name}: {values['present']:,} values in the train split of {self.rows:,} rows, too few for "
                f"percentiles. Leave the feature out, or bring it in as a word."
            )
        return values


def fit(
    spec: FeaturesConfig,
    found: Mapping[str, Any],
    words: Mapping[str, Mapping[str, int]] | None = None,
    labels: Mapping[str, LabelSums] | None = None,
    label: FittedLabel | None = None,
) -> Fit:
    """Turn the train split's answers to `questions` into the fitted spec, with what texts and mean labels take beside it.

    Raises DataError when the train split is empty, or a feature is always missing there or does not vary.
    """
    known = Found(found, words or {}, labels or {})
    if not known.rows:
        raise DataError("features: the train split is empty; expected labelled rows in it. Check features.split.")
    fitted = [pair for _, name, feature in spec.declared for pair in _fitted(feature, name, known)]
    return Fit(FittedSpec(features=tuple(f for f, _ in fitted), label=label), tuple(s for _, s in fitted))


def fit_label(moments: LabelMoments, task: Regression) -> FittedLabel:
    """The scaling of a regression's label; raises DataError when it does not vary."""
    mean, deviation, low, high = moments
    if deviation <= FLAT * abs(mean):
        raise DataError(f"features: the label does not vary in the train split (it is {high:g}). Check how it is derived.")
    return FittedLabel(offset=mean, scale=deviation, transform=task.transform, clip=task.clip, minimum=low, maximum=high)


@singledispatch
def _fitted(feature: kinds.Kind, name: str, found: Found) -> Fitted:
    raise NotImplementedError(type(feature))


@_fitted.register
def _(feature: kinds.Numeric, name: str, found: Found) -> Fitted:
    scaling, stats = _fit_numeric(name, feature, found)
    yield FittedNumeric(name=name, indicator=feature.indicator, **scaling.model_dump()), stats


@_fitted.register
def _(feature: kinds.Boolean, name: str, found: Found) -> Fitted:
    yield from _fitted(as_numeric(feature), name, found)


@_fitted.register
def _(feature: kinds.Ordinal, name: str, found: Found) -> Fitted:
    values = found.of(name)
    counts = values["counts"]
    reached = np.cumsum([counts.get(word, 0) for word in feature.order])
    if not reached[-1]:
        raise DataError(
            f"features.ordinal.{name}: no word of the train split is in its order ({', '.join(feature.order)}); found "
            f"{', '.join(sorted(counts)[:5])}. Mend the order."
        )
    if strange := sorted(word for word in counts if word and word not in feature.order):
        raise DataError(
            f"features.ordinal.{name}: the train split has {', '.join(map(repr, strange[:5]))}, which its order lacks; "
            f"expected {', '.join(feature.order)}. Add it to the order where it belongs, or derive another word."
        )
    place = int(np.searchsorted(reached, reached[-1] / 2))
    ordinal = FittedOrdinal(name=name, vocabulary=feature.order, fill=place / (len(feature.order) - 1))
    yield ordinal, _word_stats(ordinal, found)


@_fitted.register
def _(feature: kinds.Cyclic, name: str, found: Found) -> Fitted:
    values = found.of(name)
    cyclic = FittedCyclic(name=name, fill=values["percentiles"][MEDIAN], period=feature.period)
    yield cyclic, known_stats(found.rows, values)


@_fitted.register
def _(feature: kinds.Time, name: str, found: Found) -> Fitted:
    time = FittedTime(name=name, parts=feature.parts, zone=feature.zone, encode=feature.encode, holidays=feature.holidays)
    yield time, known_stats(found.rows, found.of(name))


@_fitted.register
def _(feature: kinds.Target, name: str, found: Found) -> Fitted:
    found.of(name)  # refuses one without a word
    target = fit_target(name, found.labels[name], feature.smoothing)
    yield target, _word_stats(target, found)


@_fitted.register
def _(feature: kinds.Bucketized, name: str, found: Found) -> Fitted:
    yield FittedBucketized(name=name, edges=feature.edges), known_stats(found.rows, found.of(name))


@_fitted.register
def _(feature: kinds.Categorical, name: str, found: Found) -> Fitted:
    vocabulary = _vocabulary(feature, found.of(name)["counts"])
    categorical = FittedCategorical(name=name, vocabulary=vocabulary)
    yield categorical, _word_stats(categorical, found)


@_fitted.register
def _(feature: kinds.Crossed, name: str, found: Found) -> Fitted:
    vocabulary = _vocabulary(feature, found.of(name)["counts"])
    crossed = FittedCrossed(name=name, of=feature.of, vocabulary=vocabulary)
    yield crossed, _word_stats(crossed, found)


@_fitted.register
def _(feature: kinds.Hashed, name: str, found: Found) -> Fitted:
    hashed = FittedHashed(name=name, buckets=feature.buckets)
    yield hashed, known_stats(found.rows, found.of(name), hashed)


@_fitted.register
def _(feature: kinds.Sequence, name: str, found: Found) -> Fitted:
    for column, numeric in feature.of.items():
        made = f"{name}_{column}"
        scaling, stats = _fit_numeric(made, numeric, found)
        yield FittedChannel(name=made, sequence=name, of=column, length=feature.length, **scaling.model_dump()), stats


@_fitted.register
def _(feature: kinds.Image, name: str, found: Found) -> Fitted:
    yield FittedImage(name=name, **feature.model_dump()), known_stats(found.rows, found.of(name))


@_fitted.register
def _(feature: kinds.Text, name: str, found: Found) -> Fitted:
    words = tuple(word for word in found.words.get(name, ()) if word != UNKNOWN_WORD)
    if not words and not feature.buckets:
        raise DataError(
            f"features.text.{name}: no word is in the train split's {found.rows:,} rows {feature.min_count:,} times or more; "
            f"expected some for its vocabulary. Lower its min_count ({feature.min_count:,}), or give it buckets."
        )
    text = FittedText(name=name, length=feature.length, vocabulary=words, buckets=feature.buckets)
    yield text, known_stats(found.rows, found.of(name))


def _fit_numeric(name: str, numeric: kinds.Numeric, found: Found) -> tuple[Scaling, Stats]:
    values, raw = found.of(name), "raw_" if bends(numeric) else ""
    if numeric.impute == "mean":
        fill = values[f"{raw}mean"]
    elif numeric.impute == "median":
        fill = values[f"{raw}percentiles"][MEDIAN]
    else:
        fill = numeric.impute
    stats = _with_imputed(_bend_number(name, fill, numeric), found.rows, values)
    offset, scale = _scaling(name, numeric, stats)
    if not all(map(math.isfinite, (fill, offset, scale))):
        raise DataError(
            f"features.numeric.{name}: its values, from {stats.minimum:g} to {stats.maximum:g}, are too large to be scaled by "
            f"{numeric.scale} (offset {offset:g}, scale {scale:g}, a missing one is {fill:g}); expected finite numbers. Clip "
            f"them, or derive the feature in a larger unit."
        )
    return Scaling(fill=fill, clip=numeric.clip, log1p=numeric.log1p, offset=offset, scale=scale), stats


def _word_stats(feature: FittedOrdinal | FittedTarget | FittedCategorical | FittedCrossed, found: Found) -> Stats:
    return known_stats(found.rows, found.of(feature.name), feature)._replace(vocabulary=feature.vocabulary)


def _bend_number(name: str, fill: float, numeric: kinds.Numeric) -> float:
    value = min(max(fill, numeric.clip[0]), numeric.clip[1]) if numeric.clip else fill
    if numeric.log1p and value <= -1:
        raise DataError(
            f"features.numeric.{name}: log1p of {value:g}, which stands in for a missing value (impute: {numeric.impute}); "
            f"expected more than -1. Impute another value, clip the feature to more than -1, or leave log1p out."
        )
    return math.log1p(value) if numeric.log1p else value


def _with_imputed(fill: float, rows: int, values: Mapping[str, Any]) -> Stats:
    """Moments of the present values merged with those of the imputed ones, all equal to `fill`.

    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979), eq. 2.1.
    """
    present, missing, mean = values["present"], rows - values["present"], values["mean"]
    shift = fill - mean
    variance = (present * values["variance"] + shift * shift * present * missing / rows) / rows
    stats = Stats(
        rows=rows,
        missing=missing,
        mean=mean + shift * missing / rows,
        stddev=math.sqrt(variance),
        minimum=min(values["minimum"], fill) if missing else values["minimum"],
        maximum=max(values["maximum"], fill) if missing else values["maximum"],
        quartiles=tuple(values["percentiles"][at] for at in (FIRST, MEDIAN, THIRD)),
        percentiles=tuple(values["percentiles"]),
    )
    return stats.with_levels(values["levels"])


def _scaling(name: str, numeric: kinds.Numeric, stats: Stats) -> tuple[float, float]:
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
    if numeric.scale == "none":
        return offset, scale
    rounding = FLAT * abs(stats.mean) if numeric.scale == "zscore" else 0.0
    if stats.minimum == stats.maximum or scale <= rounding:
        raise DataError(
            f"features.numeric.{name}: no variance in the train split (scale of {numeric.scale} is {scale:g}, values from "
            f"{stats.minimum:g} to {stats.maximum:g}). Leave the feature out, or give it another scaler."
        )
    return offset, scale


def _vocabulary(categorical: kinds.Categorical | kinds.Crossed, counts: Mapping[str, int]) -> tuple[str, ...]:
    frequent = sorted((-count, word) for word, count in counts.items() if _is_word(word) and count >= categorical.min_count)
    return tuple(word for _, word in frequent[: categorical.max_size])


def _is_word(word: str) -> bool:
    """Whether a model can tell it from others: to one "" is missing, and a NUL at the end is not there."""
    return bool(word) and word != UNKNOWN_WORD and "\0" not in word
