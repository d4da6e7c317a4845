"""Fitted features: the numbers learnt on the train split, as data that Spark, the trainer and the served model share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from pipelines.config import Transform
from pipelines.features.kinds.base import PART, UNKNOWN_ID, UNKNOWN_WORD, Fitted, Raw, Tensor
from pipelines.features.kinds.bucketized import FittedBucketized
from pipelines.features.kinds.categorical import FittedCategorical
from pipelines.features.kinds.crossed import FittedCrossed
from pipelines.features.kinds.cyclic import FittedCyclic
from pipelines.features.kinds.hashed import FittedHashed
from pipelines.features.kinds.image import FittedImage
from pipelines.features.kinds.numeric import FittedNumeric
from pipelines.features.kinds.ordinal import FittedOrdinal
from pipelines.features.kinds.registry import FittedFeature
from pipelines.features.kinds.scaling import Scaling
from pipelines.features.kinds.sequence import FittedChannel
from pipelines.features.kinds.target import FittedTarget
from pipelines.features.kinds.text import FittedText
from pipelines.features.kinds.time import FittedTime
from pipelines.model import Model
from schemas.contract import ColumnType

__all__ = [
    "PART", "UNKNOWN_ID", "UNKNOWN_WORD", "FittedBucketized", "FittedCategorical", "FittedChannel", "FittedCrossed",
    "FittedCyclic", "FittedFeature", "FittedHashed", "FittedImage", "FittedLabel", "FittedNumeric", "FittedOrdinal",
    "FittedSpec", "FittedTarget", "FittedText", "FittedTime", "Raw", "Scaling", "Tensor",
]  # fmt: skip

ROUNDING = 1e-12


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
        parsed = _EACH.validate_json(f"[{', '.join(fitted)}]")
        label = next((each for each in parsed if isinstance(each, FittedLabel)), None)
        return cls(features=tuple(each for each in parsed if not isinstance(each, FittedLabel)), label=label)

    @property
    def by_kind(self) -> dict[type[Fitted], list[Fitted]]:
        """The features of each kind, in their order."""
        groups: dict[type[Fitted], list[Fitted]] = {}
        for feature in self.features:
            groups.setdefault(type(feature), []).append(feature)
        return groups

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
        whole: dict[str, Tensor] = {}
        for part in (feature.tensor for feature in self.features):
            if part is None:
                continue
            before = whole.get(part.name)
            columns = (*before.columns, *part.columns) if before else part.columns
            shape = (*part.shape[:-1], len(columns)) if part.kind == "sequence" else part.shape
            whole[part.name] = part._replace(columns=columns, shape=shape)
        return tuple(sorted(whole.values(), key=lambda tensor: tensor.kind != "sequence"))

    @property
    def input_names(self) -> tuple[str, ...]:
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
    def row_bytes(self) -> int:
        """The bytes of a row's features."""
        arrays = (math.prod(tensor.shape) for tensor in self.tensors)
        return 4 * (len(self.numbers) + len(self.ids) + sum(arrays))

    @property
    def inputs(self) -> dict[str, Raw]:
        """All raw values, each once."""
        return {name: kind for feature in self.features for name, kind in feature.inputs.items()}

    @property
    def images(self) -> frozenset[str]:
        """The raw values that are PNGs."""
        return frozenset(name for each in self.features if each.tensor and each.tensor.kind == "image" for name in each.inputs)

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
