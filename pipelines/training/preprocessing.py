"""What Spark does to features, as a model; and the network behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import reduce, singledispatch
from operator import add
from typing import NamedTuple, TypeAlias

import keras

from pipelines.fitted import (
    PART,
    UNKNOWN_ID,
    UNKNOWN_WORD,
    FittedBucketized,
    FittedCategorical,
    FittedChannel,
    FittedCrossed,
    FittedCyclic,
    FittedFeature,
    FittedHashed,
    FittedImage,
    FittedNumeric,
    FittedOrdinal,
    FittedSpec,
    FittedTarget,
    FittedText,
    FittedTime,
    Scaling,
)
from pipelines.training.layers import BeforeNul, Crc32, FirstWords, LocalTime, Png, ValueOf, days_since_1970
from pipelines.training.scaling import Block, scaled, side_by_side
from pipelines.training.tasks import Head

Tensor: TypeAlias = keras.KerasTensor


class Column(NamedTuple):
    """What a feature becomes in part: a number (batch,) float64, an id (batch,), or an array (batch, …)."""

    kind: str
    value: Tensor


class Inputs(dict[str, Tensor]):
    """Raw values by name, from which a model begins, and how it looks up words in them."""

    @classmethod
    def of(cls, spec: FittedSpec) -> Inputs:
        """All that a spec's features are made of."""
        return cls({name: keras.Input(raw.shape, dtype=raw.dtype, name=name) for name, raw in spec.inputs.items()})

    def word(self, name: str) -> Tensor:
        """A word or text itself."""
        return self[name]

    def ids(self, word: str, vocabulary: tuple[str, ...], name: str) -> Tensor:
        """1 + a word's place in the vocabulary, 0 when it is not there, under a name of the graph's."""
        if not vocabulary:
            return keras.ops.zeros_like(self[word], dtype="int32")
        lookup = keras.layers.StringLookup(
            vocabulary=list(vocabulary), num_oov_indices=1, oov_token=UNKNOWN_WORD, name=f"{name}_id"
        )
        return keras.ops.cast(lookup(self[word]), "int32")

    def crossed(self, feature: FittedCrossed) -> Tensor:
        """1 + the place of several words together, 0 when they are not there."""
        if not feature.vocabulary:
            return keras.ops.zeros_like(self[feature.of[0]], dtype="int32")
        parts, codes = crossing(feature)
        digits = [
            keras.ops.cast(self.ids(part.column, part.words, f"{feature.name}_{at}"), "int64") * part.unit
            for at, part in enumerate(parts)
        ]
        lookup = keras.layers.IntegerLookup(vocabulary=codes, num_oov_indices=1, oov_token=-2, name=f"{feature.name}_id")
        return keras.ops.cast(lookup(reduce(add, digits)), "int32")


class Part(NamedTuple):
    """A column of a cross, the words that its vocabulary has of it, and what a word's place is multiplied by."""

    column: str
    words: tuple[str, ...]
    unit: int


def crossing(feature: FittedCrossed) -> tuple[list[Part], list[int]]:
    """How crossed words become one number, and the number of each entry of the vocabulary.

    The words' places, from 1 on, are the number's digits: with an unknown part, which has 0, it is that of no entry.
    """
    entries, parts, unit = [entry.split(PART) for entry in feature.vocabulary], [], 1
    codes = [0] * len(entries)
    for column, words in zip(feature.of, zip(*entries, strict=True), strict=True):
        place = {word: number for number, word in enumerate(dict.fromkeys(words), start=1)}
        parts.append(Part(column, tuple(place), unit))
        codes = [code + place[word] * unit for code, word in zip(codes, words, strict=True)]
        unit *= len(place) + 1
    return parts, codes


def build_preprocessing(spec: FittedSpec, inputs: Inputs | None = None) -> keras.Model:
    """What Spark does to features, as a model: from raw values, inputs (batch, …) by name, to numbers (batch, numbers), ids
    (batch, ids) and the spec's tensors.

    Numbers come as float64, NaN where missing; words as strings, empty where missing. Arithmetic before the network is in
    float64, as it is in Spark, but for subnormal numbers (below 2.3e-308), which TensorFlow takes for zero. The model
    begins from `inputs`, of the spec unless given.
    """
    inputs = Inputs.of(spec) if inputs is None else inputs
    numeric = [feature for feature in spec.features if isinstance(feature, FittedNumeric)]
    others = [feature for feature in spec.features if not isinstance(feature, FittedNumeric)]
    made = {feature.name: list(_columns(feature, inputs)) for feature in others}
    blocks = [*scaled(numeric, inputs), *_stacked("number", tuple(n for f in others for n in f.numbers), made)]
    ids = _stacked("id", spec.ids, made)
    # A spec without columns of a kind leaves that input as wide as nothing.
    some = next(iter(inputs.values()))
    none = keras.ops.zeros_like(some if len(some.shape) == 1 else some[:, 0], dtype="float32")[:, None][:, :0]
    matrices = [
        keras.ops.cast(side_by_side(blocks, spec.numbers) if blocks else none, "float32"),
        keras.ops.cast(ids[0].values if ids else none, "int32"),
    ]
    tensors = []
    for wanted in spec.tensors:
        arrays = [made[name][0].value for name in wanted.columns]
        tensor = keras.ops.stack(arrays, axis=-1) if wanted.kind == "sequence" else arrays[0]
        tensors.append(keras.ops.cast(tensor, wanted.dtype))
    return keras.Model(dict(inputs), [*matrices, *tensors], name="preprocessing")


def build_scorer(network: keras.Model, preprocessing: keras.Model, head: Head) -> keras.Model:
    """The network behind its preprocessing: from raw values, an input a feature, to what the head's task is read as."""
    return keras.Model(preprocessing.input, head.link(network(preprocessing.outputs)), name="scorer")


def _stacked(kind: str, names: tuple[str, ...], made: Mapping[str, list[Column]]) -> list[Block]:
    """The columns of one kind, in their order, as one block; none where there is no such column."""
    values = [column.value for columns in made.values() for column in columns if column.kind == kind]
    return [Block(names, keras.ops.stack(values, axis=-1))] if values else []


@singledispatch
def _columns(feature: FittedFeature, inputs: Inputs) -> Iterator[Column]:
    raise NotImplementedError(type(feature))


@_columns.register
def _(feature: FittedCyclic, inputs: Inputs) -> Iterator[Column]:
    angle = _present(inputs[feature.name], feature.fill) * (2 * math.pi / feature.period)
    yield Column("number", keras.ops.sin(angle))
    yield Column("number", keras.ops.cos(angle))


@_columns.register
def _(feature: FittedOrdinal, inputs: Inputs) -> Iterator[Column]:
    yield Column("number", _value_of(feature, inputs))


@_columns.register
def _(feature: FittedTime, inputs: Inputs) -> Iterator[Column]:
    local = LocalTime.of(feature.zone, f"{feature.name}_local")(inputs[feature.name])
    places = {"hour": (0, 24), "weekday": (1, 7), "month": (2, 12)}
    there = local[:, 0] >= 0
    for part in feature.parts:
        at, period = places[part]
        if feature.encode == "ids":
            yield Column("id", local[:, at] + 1)
            continue
        angle = keras.ops.cast(local[:, at], "float64") * (2 * math.pi / period)
        nothing = keras.ops.zeros_like(angle)
        for found in (keras.ops.sin(angle), keras.ops.cos(angle)):
            yield Column("number", keras.ops.where(there, found, nothing))
    if feature.holidays:
        day = local[:, 3]
        found = [keras.ops.cast(keras.ops.equal(day, days_since_1970(holiday)), "float64") for holiday in feature.holidays]
        yield Column("number", keras.ops.where(there, reduce(keras.ops.maximum, found), keras.ops.zeros_like(found[0])))


@_columns.register
def _(feature: FittedTarget, inputs: Inputs) -> Iterator[Column]:
    yield Column("number", _value_of(feature, inputs))


@_columns.register
def _(feature: FittedBucketized, inputs: Inputs) -> Iterator[Column]:
    value = inputs[feature.name]
    # An edge a comparison, in float64: Keras's Discretization, or a bare number here, would round to float32 first.
    reached = [keras.ops.cast(value >= keras.ops.full_like(value, edge), "int32") for edge in feature.edges]
    yield Column("id", keras.ops.where(keras.ops.isnan(value), UNKNOWN_ID, 1 + reduce(add, reached)))


@_columns.register
def _(feature: FittedCategorical, inputs: Inputs) -> Iterator[Column]:
    yield Column("id", inputs.ids(feature.name, feature.vocabulary, feature.name))


@_columns.register
def _(feature: FittedCrossed, inputs: Inputs) -> Iterator[Column]:
    yield Column("id", inputs.crossed(feature))


@_columns.register
def _(feature: FittedHashed, inputs: Inputs) -> Iterator[Column]:
    yield Column("id", Crc32(feature.buckets, name=f"{feature.name}_hash")(BeforeNul()(inputs.word(feature.name))))


@_columns.register
def _(feature: FittedChannel, inputs: Inputs) -> Iterator[Column]:
    yield Column("array", _scaled(inputs[feature.name], feature))


@_columns.register
def _(feature: FittedImage, inputs: Inputs) -> Iterator[Column]:
    levels = Png(feature.height, feature.width, feature.channels, name=f"{feature.name}_png")(inputs.word(feature.name))
    yield Column("array", levels / feature.divide_by)


@_columns.register
def _(feature: FittedText, inputs: Inputs) -> Iterator[Column]:
    words = FirstWords(feature.length, name=f"{feature.name}_words")(inputs.word(feature.name))
    if feature.buckets:
        yield Column("array", Crc32(feature.buckets, name=f"{feature.name}_hash")(words))
        return
    lookup = keras.layers.StringLookup(
        vocabulary=list(feature.vocabulary), mask_token="", num_oov_indices=1, oov_token=UNKNOWN_WORD, name=f"{feature.name}_id"
    )
    yield Column("array", lookup(words))


def _present(value: Tensor, fill: float) -> Tensor:
    found: Tensor = keras.ops.where(keras.ops.isnan(value), keras.ops.full_like(value, fill), value)
    return found


def _scaled(value: Tensor, feature: Scaling) -> Tensor:
    value = _present(value, feature.fill)
    if feature.clip:
        value = keras.ops.clip(value, *feature.clip)
    if feature.log1p:
        value = keras.ops.log1p(value)
    return (value - feature.offset) / feature.scale


def _value_of(feature: FittedOrdinal | FittedTarget, inputs: Inputs) -> Tensor:
    found: Tensor = ValueOf(feature.values, name=f"{feature.name}_value")(
        inputs.ids(feature.name, feature.vocabulary, feature.name)
    )
    return found
