"""The kinds of feature that a spec declares, each with what it is made of."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipelines.config.base import Day, Model, TimeZone

NUMBERS = ("int", "bigint", "float", "double", "boolean")
WORDS = ("string",)
Finite = Annotated[float, Field(allow_inf_nan=False)]
Imputer = Literal["mean", "median"] | Finite
MOST_EDGES = 64
Scaler = Literal["zscore", "minmax", "robust", "none"]
TimePart = Literal["hour", "weekday", "month"]


class Kind(Model):
    """What a feature of one kind is made from. `types`: the SQL types that its columns may have."""

    types: ClassVar[tuple[str, ...]]

    def columns(self, name: str) -> tuple[str, ...]:
        """The examples' columns that a feature of this name is made of: by default the one of its name."""
        return (name,)

    def made(self, name: str) -> tuple[str, ...]:
        """The columns that a feature of this name becomes: by default the one of its name."""
        return (name,)


class Numeric(Kind):
    """A number: what stands in for a missing one, an optional log1p or clip first, how it is scaled.

    With an indicator a second column, `<name>_missing`, is 1 where the number was missing, else 0.
    """

    types = NUMBERS
    impute: Imputer = "median"
    clip: tuple[Finite, Finite] | None = None
    log1p: bool = False
    scale: Scaler = "zscore"
    indicator: bool = False

    def made(self, name: str) -> tuple[str, ...]:
        """The number, and its indicator."""
        return (name, f"{name}_missing") if self.indicator else (name,)

    @model_validator(mode="after")
    def _clips_to_a_span(self) -> Numeric:
        if self.clip and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip is from {self.clip[0]:g} to {self.clip[1]:g}; expected a low that is below its high")
        return self


class Categorical(Kind):
    """A word: ids by frequency, 0 for the unknown; rarer than `min_count` in the train split is unknown too."""

    types = WORDS
    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000


class Boolean(Kind):
    """True or false, as 1 or 0: what a missing one is taken for, and optionally an indicator of the missing."""

    types = ("boolean",)
    impute: bool = False
    indicator: bool = False

    def made(self, name: str) -> tuple[str, ...]:
        """The number, and its indicator."""
        return (name, f"{name}_missing") if self.indicator else (name,)


class Ordinal(Kind):
    """A word of a declared order, as a number from 0 (the first) to 1 (the last), in equal steps; a missing or unknown word is
    the train split's median.
    """

    types = WORDS
    order: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _each_once(self) -> Ordinal:
        if len(set(self.order)) < len(self.order):
            raise ValueError("order names a word twice")
        return self


class Crossed(Kind):
    """Words of several columns together as one word; it is missing where one of them is."""

    types = WORDS
    of: Annotated[tuple[str, ...], Field(min_length=2)]
    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000

    def columns(self, name: str) -> tuple[str, ...]:
        """The columns that are crossed."""
        return self.of


class Cyclic(Kind):
    """A number that comes round again every `period`: its sine and cosine."""

    types = NUMBERS
    period: Annotated[Finite, Field(gt=0)]

    def made(self, name: str) -> tuple[str, ...]:
        """Sine and cosine."""
        return (f"{name}_sin", f"{name}_cos")


class Bucketized(Kind):
    """A number by the bucket that it falls in: ids from 1, cut at `edges` (an edge is of the bucket above), 0 if missing."""

    types = NUMBERS
    edges: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=MOST_EDGES)]

    @model_validator(mode="after")
    def _ascending(self) -> Bucketized:
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("edges must ascend, none twice")
        return self


class Hashed(Kind):
    """A word of a set without end: ids from 1 to `buckets` by its CRC-32, 0 where it is missing. Nothing is fitted."""

    types = WORDS
    buckets: Annotated[int, Field(ge=1, le=1 << 24)]


class Target(Kind):
    """A word as the mean label of the train split's rows that have it, drawn to the mean of all as if `smoothing` more rows
    had that (Micci-Barreca 2001); an unknown or missing word is the mean of all. It is told in deviations of the label from
    that. Train rows get the mean of the rows outside their own one of `folds` parts: none is told its own label.
    """

    types = WORDS
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    smoothing: Annotated[Finite, Field(ge=0)] = 20.0
    max_size: Annotated[int, Field(ge=1)] = 1000


class Time(Kind):
    """A timestamp by the local clock and calendar: hour (0 to 23), weekday (0 is Monday) and month, each as sine and cosine or
    as ids, and with `holidays` whether the day is one of these. A missing one is 0 everywhere.
    """

    types = ("timestamp",)
    parts: tuple[TimePart, ...] = ("hour", "weekday", "month")
    zone: TimeZone = "UTC"
    encode: Literal["cyclic", "ids"] = "cyclic"
    holidays: tuple[Day, ...] = ()

    def made(self, name: str) -> tuple[str, ...]:
        """Sines and cosines, or ids, part by part; then the holiday."""
        ends = ("",) if self.encode == "ids" else ("_sin", "_cos")
        holiday = (f"{name}_holiday",) if self.holidays else ()
        return (*(f"{name}_{part}{end}" for part in self.parts for end in ends), *holiday)

    @model_validator(mode="after")
    def _some(self) -> Time:
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("parts names one twice")
        if not self.parts and not self.holidays:
            raise ValueError("neither parts nor holidays; expected some of hour, weekday, month, or days")
        return self


class Sequence(Kind):
    """The last `length` values of several columns of a series, up to and with the row's own: see `features.windows`."""

    types = NUMBERS
    of: Annotated[dict[str, Numeric], Field(min_length=1)]
    length: Annotated[int, Field(ge=2, le=10_000)]

    def columns(self, name: str) -> tuple[str, ...]:
        """The series' columns."""
        return tuple(self.of)

    def made(self, name: str) -> tuple[str, ...]:
        """An array a column."""
        return tuple(f"{name}_{column}" for column in self.of)

    @model_validator(mode="after")
    def _no_indicator(self) -> Sequence:
        if wrong := sorted(name for name, numeric in self.of.items() if numeric.indicator):
            raise ValueError(f"a column of a sequence has no indicator: {', '.join(wrong)}")
        return self


class Image(Kind):
    """A PNG, as base64 text: decoded, resized (bilinear, corners not aligned, as tf.image.resize does), levels of 0 to 255
    divided by `divide_by`. One channel is grey, three are red, green and blue.
    """

    types = WORDS
    height: Annotated[int, Field(ge=1, le=4096)]
    width: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3] = 3
    divide_by: Annotated[Finite, Field(gt=0)] = 255.0


class Text(Kind):
    """A text: its first `length` words in lower case, as ids by frequency in the train split (2 is the most frequent, 1 the
    unknown, 0 where there is no word), or with `buckets` by CRC-32 (1 to `buckets`). A word is what stands between spaces and
    punctuation; an apostrophe is part of it.
    """

    types = WORDS
    length: Annotated[int, Field(ge=1, le=10_000)]
    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 20_000
    buckets: Annotated[int, Field(ge=1, le=1 << 24)] | None = None
