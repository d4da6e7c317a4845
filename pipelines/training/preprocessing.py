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
from pipelines.training.tasks import Head

Tensor: TypeAlias = keras.KerasTensor


class Column(NamedTuple):
    """What a feature becomes in part: a number (batch,) float64, an id (batch,), or an array (batch, …)."""

    kind: str
    value: Tensor


def build_preprocessing(spec: FittedSpec) -> keras.Model:
    """What Spark does to features, as a model: from raw values, inputs (batch, …) by name, to numbers (batch, numbers), ids
    (batch, ids) and the spec's tensors.

    Numbers come as float64, NaN where missing; words as strings, empty where missing. Arithmetic before the network is in
    float64, as it is in Spark, but for subnormal numbers (below 2.3e-308), which TensorFlow takes for zero.
    """
    inputs = {name: keras.Input(raw.shape, dtype=raw.dtype, name=name) for name, raw in spec.inputs.items()}
    made = {feature.name: list(_columns(feature, inputs)) for feature in spec.features}
    columns = [column for feature in made.values() for column in feature]
    matrices = []
    some = next(iter(inputs.values()))
    for kind, dtype in (("number", "float32"), ("id", "int32")):
        values = [column.value for column in columns if column.kind == kind]
        # A spec without columns of a kind leaves that input as wide as nothing.
        none = keras.ops.zeros_like(some if len(some.shape) == 1 else some[:, 0], dtype=dtype)[:, None][:, :0]
        matrices.append(keras.ops.cast(keras.ops.stack(values, axis=-1), dtype) if values else none)
    tensors = []
    for wanted in spec.tensors:
        arrays = [made[name][0].value for name in wanted.columns]
        side_by_side = keras.ops.stack(arrays, axis=-1) if wanted.kind == "sequence" else arrays[0]
        tensors.append(keras.ops.cast(side_by_side, wanted.dtype))
    return keras.Model(inputs, [*matrices, *tensors], name="preprocessing")


def build_scorer(network: keras.Model, preprocessing: keras.Model, head: Head) -> keras.Model:
    """The network behind its preprocessing: from raw values, an input a feature, to what the head's task is read as."""
    return keras.Model(preprocessing.input, head.link(network(preprocessing.outputs)), name="scorer")


@singledispatch
def _columns(feature: FittedFeature, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    raise NotImplementedError(type(feature))


@_columns.register
def _(feature: FittedNumeric, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    value = inputs[feature.name]
    yield Column("number", _scaled(value, feature))
    if feature.indicator:
        yield Column("number", keras.ops.cast(keras.ops.isnan(value), "float64"))


@_columns.register
def _(feature: FittedCyclic, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    angle = _present(inputs[feature.name], feature.fill) * (2 * math.pi / feature.period)
    yield Column("number", keras.ops.sin(angle))
    yield Column("number", keras.ops.cos(angle))


@_columns.register
def _(feature: FittedOrdinal, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    yield Column("number", _value_of(inputs[feature.name], feature))


@_columns.register
def _(feature: FittedTime, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
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
def _(feature: FittedTarget, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    yield Column("number", _value_of(inputs[feature.name], feature))


@_columns.register
def _(feature: FittedBucketized, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    value = inputs[feature.name]
    # An edge a comparison, in float64: Keras's Discretization, or a bare number here, would round to float32 first.
    reached = [keras.ops.cast(value >= keras.ops.full_like(value, edge), "int32") for edge in feature.edges]
    yield Column("id", keras.ops.where(keras.ops.isnan(value), UNKNOWN_ID, 1 + reduce(add, reached)))


@_columns.register
def _(feature: FittedCategorical, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    yield Column("id", _ids(inputs[feature.name], feature.vocabulary, feature.name))


@_columns.register
def _(feature: FittedCrossed, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    yield Column("id", _crossed([inputs[part] for part in feature.of], feature))


@_columns.register
def _(feature: FittedHashed, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    yield Column("id", Crc32(feature.buckets, name=f"{feature.name}_hash")(BeforeNul()(inputs[feature.name])))


@_columns.register
def _(feature: FittedChannel, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    yield Column("array", _scaled(inputs[feature.name], feature))


@_columns.register
def _(feature: FittedImage, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    levels = Png(feature.height, feature.width, feature.channels, name=f"{feature.name}_png")(inputs[feature.name])
    yield Column("array", levels / feature.divide_by)


@_columns.register
def _(feature: FittedText, inputs: Mapping[str, Tensor]) -> Iterator[Column]:
    words = FirstWords(feature.length, name=f"{feature.name}_words")(inputs[feature.name])
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


def _value_of(word: Tensor, feature: FittedOrdinal | FittedTarget) -> Tensor:
    found: Tensor = ValueOf(feature.values, name=f"{feature.name}_value")(_ids(word, feature.vocabulary, feature.name))
    return found


def _ids(value: Tensor, vocabulary: tuple[str, ...], name: str) -> Tensor:
    if not vocabulary:
        return keras.ops.zeros_like(value, dtype="int32")
    lookup = keras.layers.StringLookup(
        vocabulary=list(vocabulary), num_oov_indices=1, oov_token=UNKNOWN_WORD, name=f"{name}_id"
    )
    return keras.ops.cast(lookup(value), "int32")


def _crossed(values: list[Tensor], feature: FittedCrossed) -> Tensor:
    """Each part's id among the words that it has in the vocabulary, all of them as digits of one number, and that looked up."""
    if not feature.vocabulary:
        return keras.ops.zeros_like(values[0], dtype="int32")
    pairs = [word.split(PART) for word in feature.vocabulary]
    code, codes = keras.ops.zeros_like(values[0], dtype="int64"), [0] * len(pairs)
    for at, value in enumerate(values):
        known = tuple(dict.fromkeys(pair[at] for pair in pairs))
        place = {word: number for number, word in enumerate(known, start=1)}
        found = keras.ops.cast(_ids(value, known, f"{feature.name}_{at}"), "int64")
        # With an unknown part the whole is unknown: no code is negative.
        code = keras.ops.where((found > 0) & (code >= 0), code * (len(known) + 1) + found, -1)
        codes = [whole * (len(known) + 1) + place[pair[at]] for whole, pair in zip(codes, pairs, strict=True)]
    lookup = keras.layers.IntegerLookup(vocabulary=codes, num_oov_indices=1, oov_token=-2, name=f"{feature.name}_id")
    return keras.ops.cast(lookup(code), "int32")
