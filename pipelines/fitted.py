"""Fitted features: the numbers learnt on the train split, as data that Spark, the trainer and the served model share."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config import Model

UNKNOWN_ID = 0
UNKNOWN_WORD = "\ufffe"  # what Keras calls the unknown; no character, so no word of any text


class _Fitted(Model):
    name: str

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
    def size(self) -> int:
        """How many ids there are, the unknown's among them."""
        return len(self.vocabulary) + 1


class FittedBucketized(_Fitted):
    """x → 1 + how many edges are at most x, 0 when it is missing."""

    kind: Literal["bucketized"] = "bucketized"
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """How many ids there are, the missing's among them."""
        return len(self.edges) + 2


FittedFeature = Annotated[FittedNumeric | FittedCyclic | FittedBucketized | FittedCategorical, Field(discriminator="kind")]


WITH_IDS = (FittedCategorical, FittedBucketized)


class FittedSpec(Model):
    """All fitted features, in the order of the configuration: numbers first, then cyclic ones, then what becomes ids, buckets
    before words.
    """

    features: tuple[FittedFeature, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the float columns, in the order in which the network takes them."""
        return tuple(name for f in self.features if not isinstance(f, WITH_IDS) for name in f.outputs)

    @property
    def words(self) -> tuple[FittedCategorical | FittedBucketized, ...]:
        """The features that become ids, in the order in which the network takes them."""
        return tuple(feature for feature in self.features if isinstance(feature, WITH_IDS))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the spec's JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
