"""The kinds of feature that a spec declares, each with what it is made of."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.config.base import Model, TimeZone

Imputer = Literal["mean", "median"] | float
MOST_EDGES = 64
Scaler = Literal["zscore", "minmax", "robust", "none"]
TimePart = Literal["hour", "weekday", "month"]


class Numeric(Model):
    """A number: what stands in for a missing one, an optional log1p or clip first, how it is scaled.

    With an indicator a second column, `<name>_missing`, is 1 where the number was missing, else 0.
    """

    impute: Imputer = "median"
    clip: tuple[float, float] | None = None
    log1p: bool = False
    scale: Scaler = "zscore"
    indicator: bool = False


class Categorical(Model):
    """A word: ids by frequency, 0 for the unknown; rarer than `min_count` in the train split is unknown too."""

    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000


class Boolean(Model):
    """True or false, as 1 or 0: what a missing one is taken for, and optionally an indicator of the missing."""

    impute: bool = False
    indicator: bool = False


class Ordinal(Model):
    """A word of a declared order, as a number from 0 (the first) to 1 (the last), in equal steps; a missing or unknown word is
    the train split's median.
    """

    order: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _each_once(self) -> Ordinal:
        if len(set(self.order)) < len(self.order):
            raise ValueError("order names a word twice")
        return self


class Crossed(Model):
    """Words of several columns together as one word; it is missing where one of them is."""

    of: Annotated[tuple[str, ...], Field(min_length=2)]
    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000


class Cyclic(Model):
    """A number that comes round again every `period`: its sine and cosine."""

    period: Annotated[float, Field(gt=0)]


class Bucketized(Model):
    """A number by the bucket that it falls in: ids from 1, cut at `edges` (an edge is of the bucket above), 0 if missing."""

    edges: Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=1, max_length=MOST_EDGES)]

    @model_validator(mode="after")
    def _ascending(self) -> Bucketized:
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("edges must ascend, none twice")
        return self


class Hashed(Model):
    """A word of a set without end: ids from 1 to `buckets` by its CRC-32, 0 where it is missing. Nothing is fitted."""

    buckets: Annotated[int, Field(ge=1, le=1 << 24)]


class Target(Model):
    """A word as the mean label of the train split's rows that have it, drawn to the mean of all as if `smoothing` more rows
    had that (Micci-Barreca 2001); an unknown or missing word is the mean of all. It is told in deviations of the label from
    that. Train rows get the mean of the rows outside their own one of `folds` parts: none is told its own label.
    """

    folds: Annotated[int, Field(ge=2, le=100)] = 5
    smoothing: Annotated[float, Field(ge=0)] = 20.0
    max_size: Annotated[int, Field(ge=1)] = 1000


class Time(Model):
    """A timestamp by the local clock and calendar: hour (0 to 23), weekday (0 is Monday) and month, each as sine and cosine or
    as ids, and with `holidays` whether the day is one of these. A missing one is 0 everywhere.
    """

    parts: tuple[TimePart, ...] = ("hour", "weekday", "month")
    zone: TimeZone = "UTC"
    encode: Literal["cyclic", "ids"] = "cyclic"
    holidays: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> Time:
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("parts names one twice")
        if not self.parts and not self.holidays:
            raise ValueError("neither parts nor holidays; expected some of hour, weekday, month, or days")
        return self


class Sequence(Model):
    """The last `length` values of several columns of a series, up to and with the row's own: see `features.windows`."""

    of: Annotated[dict[str, Numeric], Field(min_length=1)]
    length: Annotated[int, Field(ge=2, le=10_000)]

    @model_validator(mode="after")
    def _no_indicator(self) -> Sequence:
        if wrong := sorted(name for name, numeric in self.of.items() if numeric.indicator):
            raise ValueError(f"a column of a sequence has no indicator: {', '.join(wrong)}")
        return self


class Image(Model):
    """A PNG, as base64 text: decoded, resized (bilinear, corners not aligned, as tf.image.resize does), levels of 0 to 255
    divided by `divide_by`. One channel is grey, three are red, green and blue.
    """

    height: Annotated[int, Field(ge=1, le=4096)]
    width: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3] = 3
    divide_by: Annotated[float, Field(gt=0)] = 255.0


class Text(Model):
    """A text: its first `length` words in lower case, as ids by frequency in the train split (2 is the most frequent, 1 the
    unknown, 0 where there is no word), or with `buckets` by CRC-32 (1 to `buckets`). A word is what stands between spaces and
    punctuation; an apostrophe is part of it.
    """

    length: Annotated[int, Field(ge=1, le=10_000)]
    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 20_000
    buckets: Annotated[int, Field(ge=1, le=1 << 24)] | None = None
