"""Fitted features: the numbers learnt on the train split, as data that Spark, the trainer and the served model share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config import Model

UNKNOWN_ID = 0
UNKNOWN_WORD = "\ufffe"  # what Keras calls the unknown; no character, so no word of any text


PART = "\x1f"  # between the words that are crossed; a word that holds it is missing there


class _Fitted(Model):
    name: str

    @property
    def inputs(self) -> dict[str, str]:
        """The raw values that the feature is made of, each with the type in which a model takes it."""
        return {self.name: "float64"}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns that the feature becomes."""
        return (self.name,)


class FittedNumeric(_Fitted):
    """x → (log1p?(clip?(x or fill)) - offset) / scale, and with an indicator 1 or 0: whether x was missing."""

    kind: Literal["numeric"] = "numeric"
    fill: float
    clip: tuple[float, float] | None
    log1p: bool
    offset: float
    scale: float
    indicator: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns that the feature becomes."""
        return (self.name, f"{self.name}_missing") if self.indicator else (self.name,)


class FittedCyclic(_Fitted):
    """x → sin(2πx / period), cos(2πx / period)."""

    kind: Literal["cyclic"] = "cyclic"
    fill: float
    period: float

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns that the feature becomes."""
        return (f"{self.name}_sin", f"{self.name}_cos")


class FittedCategorical(_Fitted):
    """word → 1 + its place in the vocabulary, 0 when it is missing or not there."""

    kind: Literal["categorical"] = "categorical"
    vocabulary: tuple[str, ...]

    @property
    def inputs(self) -> dict[str, str]:
        """The word."""
        return {self.name: "string"}

    @property
    def size(self) -> int:
        """How many ids there are, the unknown's among them."""
        return len(self.vocabulary) + 1


class FittedCrossed(_Fitted):
    """words, one a column → 1 + the place of all of them together in the vocabulary, 0 when one is missing or they are not
    there. The vocabulary holds them side by side, with `PART` between.
    """

    kind: Literal["crossed"] = "crossed"
    of: tuple[str, ...]
    vocabulary: tuple[str, ...]

    @property
    def inputs(self) -> dict[str, str]:
        """The words."""
        return dict.fromkeys(self.of, "string")

    @property
    def size(self) -> int:
        """How many ids there are, the unknown's among them."""
        return len(self.vocabulary) + 1


class FittedOrdinal(_Fitted):
    """word → its place in the order, from 0 to 1 in equal steps, or `fill` when it is missing or not there."""

    kind: Literal["ordinal"] = "ordinal"
    vocabulary: tuple[str, ...]
    fill: float

    @property
    def inputs(self) -> dict[str, str]:
        """The word."""
        return {self.name: "string"}


class FittedBucketized(_Fitted):
    """x → 1 + how many edges are at most x, 0 when it is missing."""

    kind: Literal["bucketized"] = "bucketized"
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """How many ids there are, the missing's among them."""
        return len(self.edges) + 2


FittedFeature = Annotated[
    FittedNumeric | FittedOrdinal | FittedCyclic | FittedBucketized | FittedCategorical | FittedCrossed,
    Field(discriminator="kind"),
]

WITH_IDS = (FittedBucketized, FittedCategorical, FittedCrossed)
OF_WORDS = (FittedOrdinal, FittedCategorical, FittedCrossed)


class FittedSpec(Model):
    """All fitted features, in the order of the configuration: numbers first, ordinal words and cyclic numbers among them,
    then what becomes ids: buckets, words, crossed words.
    """

    features: tuple[FittedFeature, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the float columns, in the order in which the network takes them."""
        return tuple(name for f in self.features if not isinstance(f, WITH_IDS) for name in f.outputs)

    @property
    def words(self) -> tuple[FittedBucketized | FittedCategorical | FittedCrossed, ...]:
        """The features that become ids, in the order in which the network takes them."""
        return tuple(feature for feature in self.features if isinstance(feature, WITH_IDS))

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the columns of ids, in the order in which the network takes them."""
        return tuple(word.name for word in self.words)

    @classmethod
    def of(cls, fitted: Iterable[str]) -> FittedSpec:
        """The spec of features that are given as JSON, one by one, as feature_stats holds them."""
        return cls.model_validate_json(f'{{"features": [{", ".join(fitted)}]}}')

    @property
    def inputs(self) -> dict[str, str]:
        """All raw values, each once, with the type in which a model takes it: float64 with NaN or string with "" if missing."""
        return {name: kind for feature in self.features for name, kind in feature.inputs.items()}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the spec's JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
