"""Fitted features: the numbers learnt on the train split, as data that Spark, the trainer and the served model share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, TypeAdapter

from pipelines.config import Model, Transform
from schemas.contract import ColumnType

ROUNDING = 1e-12
UNKNOWN_ID = 0
UNKNOWN_WORD = "\ufffe"  # what Keras calls the unknown; no character, so no word of any text
UNKNOWN_TOKEN = 1  # in a text, where 0 is no word at all


PART = "\x1f"  # between the words that are crossed; a word that holds it is missing there
GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
SIZES = {"hour": 24, "weekday": 7, "month": 12}

# What stands between the words of a text: control characters, spaces and punctuation but for the apostrophe. As a list, so
# that every engine's regular expressions agree on it.
BETWEEN_WORDS = (
    r"\x00-\x20!-&(-/:-@\[-`{-\x7f\x{80}-\x{a0}\x{a1}\x{a7}\x{ab}\x{b6}\x{b7}\x{bb}\x{bf}"
    r"\x{2000}-\x{2018}\x{201a}-\x{206f}\x{3000}-\x{3003}\x{3008}-\x{3011}\x{ff01}\x{ff0c}\x{ff1a}\x{ff1b}\x{ff1f}"
)


class Raw(NamedTuple):
    """A raw value as a model takes it: float64 with NaN, or string with "", where it is missing; with a `length` as many."""

    dtype: Literal["float64", "string"]
    length: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's value."""
        return () if self.length is None else (self.length,)


class Tensor(NamedTuple):
    """An input of the network beside numbers and ids: arrays (of one shape, a column of `columns` each) side by side.

    `kind` says what stands over it: a sequence (length, columns), an image (height, width, channels), or a text (length,) of
    ids below `size`.
    """

    kind: Literal["sequence", "image", "text"]
    name: str
    columns: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Literal["float32", "int32"]
    size: int = 0


class _Fitted(Model, allow_inf_nan=True):
    name: str

    @property
    def inputs(self) -> dict[str, Raw]:
        """The raw values that the feature is made of."""
        return {self.name: Raw("float64")}

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns of numbers that the feature becomes."""
        return ()

    @property
    def ids(self) -> dict[str, int]:
        """The columns of ids that the feature becomes, each with how many ids there are."""
        return {}

    @property
    def array(self) -> ColumnType | None:
        """The type of the one column of arrays that the feature becomes, if it does."""
        return None


class _OfWord(_Fitted):
    @property
    def inputs(self) -> dict[str, Raw]:
        """The word."""
        return {self.name: Raw("string")}


class Scaling(Model, allow_inf_nan=True):
    """x → (log1p?(clip?(x or fill)) - offset) / scale."""

    fill: float
    clip: tuple[float, float] | None
    log1p: bool
    offset: float
    scale: float


class FittedNumeric(_Fitted, Scaling):
    """A scaled number, and with an indicator 1 or 0: whether it was missing."""

    kind: Literal["numeric"] = "numeric"
    indicator: bool = False

    @property
    def numbers(self) -> tuple[str, ...]:
        """The number, and its indicator."""
        return (self.name, f"{self.name}_missing") if self.indicator else (self.name,)


class FittedCyclic(_Fitted):
    """x → sin(2πx / period), cos(2πx / period)."""

    kind: Literal["cyclic"] = "cyclic"
    fill: float
    period: float

    @property
    def numbers(self) -> tuple[str, ...]:
        """Sine and cosine."""
        return (f"{self.name}_sin", f"{self.name}_cos")


class FittedOrdinal(_OfWord):
    """word → its place in the order, from 0 to 1 in equal steps, or `fill` when it is missing or not there."""

    kind: Literal["ordinal"] = "ordinal"
    vocabulary: tuple[str, ...]
    fill: float

    @property
    def numbers(self) -> tuple[str, ...]:
        """The place."""
        return (self.name,)

    @property
    def values(self) -> list[float]:
        """The places by id: of the unknown word first, then of the order."""
        last = len(self.vocabulary) - 1
        return [self.fill, *(place / last for place in range(last + 1))]


class FittedTime(_Fitted):
    """seconds since 1970 → parts of the local date and time, as sine and cosine (0 and 0 where missing) or as ids from 1 (0
    where missing), and 1 or 0: whether the day is a holiday.
    """

    kind: Literal["time"] = "time"
    parts: tuple[Literal["hour", "weekday", "month"], ...]
    zone: str
    encode: Literal["cyclic", "ids"]
    holidays: tuple[date, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """Sines and cosines part by part, then the holiday."""
        circles = [f"{self.name}_{part}_{side}" for part in self.parts for side in ("sin", "cos")]
        return (*(circles if self.encode == "cyclic" else ()), *((f"{self.name}_holiday",) if self.holidays else ()))

    @property
    def ids(self) -> dict[str, int]:
        """An id a part."""
        return {f"{self.name}_{part}": SIZES[part] + 1 for part in self.parts} if self.encode == "ids" else {}


class FittedTarget(_OfWord):
    """word → the train split's mean label of rows with that word, `prior` when it is missing or not there; less `prior`, in
    deviations of the label.

    `out_of_fold` has the means, and `priors_out_of_fold` the prior, of the rows outside each fold: what the train split's own
    rows get.
    """

    kind: Literal["target"] = "target"
    vocabulary: tuple[str, ...]
    prior: float
    deviation: float
    means: tuple[float, ...]
    out_of_fold: tuple[tuple[float, ...], ...]
    priors_out_of_fold: tuple[float, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        """The mean."""
        return (self.name,)

    @property
    def values(self) -> list[float]:
        """The scaled means by id: of the unknown word first, then of the vocabulary."""
        return self._scaled([self.prior, *self.means])

    @property
    def values_out_of_fold(self) -> list[list[float]]:
        """The same by fold."""
        pairs = zip(self.priors_out_of_fold, self.out_of_fold, strict=True)
        return [self._scaled([prior, *means]) for prior, means in pairs]

    def _scaled(self, values: list[float]) -> list[float]:
        return [(value - self.prior) / self.deviation for value in values]


class FittedBucketized(_Fitted):
    """x → 1 + how many edges are at most x, 0 when it is missing."""

    kind: Literal["bucketized"] = "bucketized"
    edges: tuple[float, ...]

    @property
    def ids(self) -> dict[str, int]:
        """The bucket."""
        return {self.name: len(self.edges) + 2}


class FittedCategorical(_OfWord):
    """word → 1 + its place in the vocabulary, 0 when it is missing or not there."""

    kind: Literal["categorical"] = "categorical"
    vocabulary: tuple[str, ...]

    @property
    def ids(self) -> dict[str, int]:
        """The word's."""
        return {self.name: len(self.vocabulary) + 1}


class FittedCrossed(_Fitted):
    """words, one a column → 1 + the place of all of them together in the vocabulary, 0 when one is missing or they are not
    there. The vocabulary holds them side by side, with `PART` between.
    """

    kind: Literal["crossed"] = "crossed"
    of: tuple[str, ...]
    vocabulary: tuple[str, ...]

    @property
    def inputs(self) -> dict[str, Raw]:
        """The words."""
        return dict.fromkeys(self.of, Raw("string"))

    @property
    def ids(self) -> dict[str, int]:
        """All of them together."""
        return {self.name: len(self.vocabulary) + 1}


class FittedHashed(_OfWord):
    """word → 1 + the CRC-32 of its UTF-8 modulo `buckets`, 0 when it is missing."""

    kind: Literal["hashed"] = "hashed"
    buckets: int

    @property
    def ids(self) -> dict[str, int]:
        """The hash."""
        return {self.name: self.buckets + 1}


class FittedChannel(_Fitted, Scaling):
    """One column of a sequence: the last `length` values of the column `of`, oldest first, each scaled."""

    kind: Literal["channel"] = "channel"
    sequence: str
    of: str
    length: int

    @property
    def inputs(self) -> dict[str, Raw]:
        """The values."""
        return {self.name: Raw("float64", self.length)}

    @property
    def array(self) -> ColumnType:
        """Numbers."""
        return "array<float>"


class FittedImage(_OfWord):
    """A PNG as base64 → levels, row by row, each pixel's channels side by side, divided by `divide_by`."""

    kind: Literal["image"] = "image"
    height: int
    width: int
    channels: int
    divide_by: float

    @property
    def array(self) -> ColumnType:
        """Numbers."""
        return "array<float>"


class FittedText(_OfWord):
    """text → ids of its first `length` words, then zeros: by the vocabulary from 2 on (1: unknown), or 1 + CRC-32 modulo
    `buckets`.
    """

    kind: Literal["text"] = "text"
    length: int
    vocabulary: tuple[str, ...] = ()
    buckets: int | None = None

    @property
    def size(self) -> int:
        """How many ids there are, that of no word among them."""
        return self.buckets + 1 if self.buckets else len(self.vocabulary) + 2

    @property
    def array(self) -> ColumnType:
        """Ids."""
        return "array<int>"


class FittedLabel(Model, allow_inf_nan=True):
    """What a regression's label is scaled by within training: mean and population deviation on the train split, of the label
    itself or, with `transform: log1p`, of log(1 + label).

    `minimum` and `maximum` are the train split's least and greatest label, in the label's own unit; with `clip` predictions
    stay within them.
    """

    kind: Literal["label"] = "label"
    name: Literal["label"] = "label"
    offset: float
    scale: float
    transform: Transform = "none"
    clip: bool = False
    minimum: float | None = None
    maximum: float | None = None


FittedFeature = Annotated[
    FittedNumeric
    | FittedOrdinal
    | FittedCyclic
    | FittedTime
    | FittedTarget
    | FittedBucketized
    | FittedCategorical
    | FittedCrossed
    | FittedHashed
    | FittedChannel
    | FittedImage
    | FittedText,
    Field(discriminator="kind"),
]
_EACH: TypeAdapter[list[FittedFeature | FittedLabel]] = TypeAdapter(
    list[Annotated[FittedFeature | FittedLabel, Field(discriminator="kind")]]
)


class FittedSpec(Model, allow_inf_nan=True):
    """All fitted features, in the order of the configuration: numbers, then what becomes ids, then arrays; and the label's
    scaling, where it has one.
    """

    features: tuple[FittedFeature, ...]
    label: FittedLabel | None = None

    @classmethod
    def of(cls, fitted: Iterable[str]) -> FittedSpec:
        """The spec of features that are given as JSON, one by one, as feature_stats holds them."""
        found = _EACH.validate_json(f"[{', '.join(fitted)}]")
        label = next((each for each in found if isinstance(each, FittedLabel)), None)
        return cls(features=tuple(each for each in found if not isinstance(each, FittedLabel)), label=label)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the float columns, in the order in which the network takes them."""
        return tuple(name for feature in self.features for name in feature.numbers)

    @property
    def sizes(self) -> dict[str, int]:
        """The columns of ids, in the order in which the network takes them, each with how many ids there are."""
        return {name: size for feature in self.features for name, size in feature.ids.items()}

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the columns of ids, in the order in which the network takes them."""
        return tuple(self.sizes)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The network's inputs beside numbers and ids, in the order in which it takes them."""
        found: list[Tensor] = []
        sequences: dict[str, list[FittedChannel]] = {}
        for feature in self.features:
            if isinstance(feature, FittedChannel):
                sequences.setdefault(feature.sequence, []).append(feature)
        for name, channels in sequences.items():
            columns, length = tuple(channel.name for channel in channels), channels[0].length
            found.append(Tensor("sequence", name, columns, (length, len(columns)), "float32"))
        for feature in self.features:
            if isinstance(feature, FittedImage):
                shape = (feature.height, feature.width, feature.channels)
                found.append(Tensor("image", feature.name, (feature.name,), shape, "float32"))
            if isinstance(feature, FittedText):
                found.append(Tensor("text", feature.name, (feature.name,), (feature.length,), "int32", feature.size))
        return tuple(found)

    @property
    def taken(self) -> tuple[str, ...]:
        """Names of the network's inputs, in the order in which it takes them."""
        return ("numbers", "ids", *(tensor.name for tensor in self.tensors))

    @property
    def columns(self) -> dict[str, ColumnType]:
        """Every column that the features become, with its SQL type, in the order of the features table."""
        arrays = {feature.name: feature.array for feature in self.features if feature.array}
        numbers: dict[str, ColumnType] = dict.fromkeys(self.numbers, "float")
        ids: dict[str, ColumnType] = dict.fromkeys(self.ids, "int")
        return {**numbers, **ids, **arrays}

    @property
    def inputs(self) -> dict[str, Raw]:
        """All raw values, each once."""
        return {name: kind for feature in self.features for name, kind in feature.inputs.items()}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the spec's JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def agrees_with(self, other: FittedSpec) -> bool:
        """Whether another spec makes the same features, but for the rounding of sums that were added in another order."""
        return _agree(self.model_dump(), other.model_dump())


def _agree(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_agree(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_agree, one, other))
    return bool(one == other)
