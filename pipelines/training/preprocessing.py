"""What Spark's tasks do to features, as a model; and the network behind it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import count
from operator import add
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from pipelines.features.fitted import FittedSpec
from pipelines.features.kinds.base import UNKNOWN_WORD, Block
from pipelines.features.kinds.crossed import crossing
from pipelines.features.kinds.rows import Parts
from pipelines.training.layers import BeforeNul, Crc32, FirstWords, LocalTime, Png, ValueOf
from pipelines.training.tasks import OutputHead

Tensor: TypeAlias = keras.KerasTensor
UNLIMITED = 1 << 30


class Inputs(dict[str, Tensor]):
    """Raw values by name, from which a model begins, as rows that kinds of feature are applied to.

    Every number that is NaN is missing, and every row is served: no row is in a fold.
    """

    ops = keras.ops
    side_by_side = UNLIMITED  # with operations of its own for each of 2,000 features a graph takes minutes to convert

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__(tensors)
        self._numbers = count()

    @classmethod
    def of(cls, spec: FittedSpec) -> Inputs:
        """All that a spec's features are made of."""
        return cls({name: keras.Input(raw.shape, dtype=raw.dtype, name=name) for name, raw in spec.inputs.items()})

    def cast(self, values: Tensor, dtype: str) -> Tensor:
        return keras.ops.cast(values, dtype)

    def numbers(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        values = self[names[0]] if len(names) == 1 else keras.ops.stack([self[name] for name in names], axis=-1)
        return values, keras.ops.isnan(values)

    def series(self, name: str, length: int) -> tuple[Tensor, Tensor]:
        return self[name], keras.ops.isnan(self[name])

    def word(self, name: str) -> Tensor:
        """The word or text of an input, as it is."""
        return self[name]

    def word_ids(self, name: str, vocabulary: tuple[str, ...]) -> Tensor:
        if not vocabulary:
            return keras.ops.zeros_like(self[name], dtype="int32")
        lookup = keras.layers.StringLookup(
            vocabulary=list(vocabulary), num_oov_indices=1, oov_token=UNKNOWN_WORD, name=self.named(name, "id")
        )
        return keras.ops.cast(lookup(self[name]), "int32")

    def crossed_ids(self, names: tuple[str, ...], vocabulary: tuple[str, ...]) -> Tensor:
        if not vocabulary:
            return keras.ops.zeros_like(self[names[0]], dtype="int32")
        parts, codes = crossing(names, vocabulary)
        digits = [keras.ops.cast(self.word_ids(part.column, part.words), "int64") * part.unit for part in parts]
        name = self.named("_".join(names), "id")
        lookup = keras.layers.IntegerLookup(vocabulary=codes, num_oov_indices=1, oov_token=-2, name=name)
        return keras.ops.cast(lookup(reduce(add, digits)), "int32")

    def hashed_ids(self, name: str, buckets: int) -> Tensor:
        return Crc32(buckets, name=self.named(name, "hash"))(BeforeNul()(self.word(name)))

    def values_at(self, values: Sequence[float], positions: Tensor) -> Tensor:
        return ValueOf(list(values), name=self.named("value", "at"))(positions)

    def own_fold(self, folds: int) -> None:
        return None

    def local_time(self, name: str, zone: str) -> Parts:
        local = LocalTime.of(zone, self.named(name, "local"))(self[name])
        return Parts(*(local[:, part] for part in range(len(Parts._fields))))

    def levels(self, name: str, height: int, width: int, channels: int) -> Tensor:
        return Png(height, width, channels, name=self.named(name, "png"))(self.word(name))

    def tokens(self, name: str, length: int) -> Tensor:
        return FirstWords(length, name=self.named(name, "words"))(self.word(name))

    def token_ids(self, tokens: Tensor, vocabulary: tuple[str, ...]) -> Tensor:
        lookup = keras.layers.StringLookup(
            vocabulary=list(vocabulary),
            mask_token="",
            num_oov_indices=1,
            oov_token=UNKNOWN_WORD,
            name=self.named("token", "id"),
        )
        return lookup(tokens)

    def token_hashes(self, tokens: Tensor, buckets: int) -> Tensor:
        return Crc32(buckets, name=self.named("token", "hash"))(tokens)

    def named(self, *parts: str) -> str:
        """A name of a layer that no other of the model has."""
        return ".".join((*parts, str(next(self._numbers))))


def build_preprocessing(spec: FittedSpec, inputs: Inputs | None = None) -> keras.Model:
    """What Spark's tasks do to features, as a model: from raw values, inputs (batch, …) by name, to numbers (batch, numbers),
    ids (batch, ids) and the spec's tensors.

    Numbers come as float64, NaN where missing; words as strings, empty where missing. Arithmetic before the network is in
    float64, as it is in the tasks, but for subnormal numbers (below 2.3e-308), which TensorFlow takes for zero. The model
    begins from `inputs`, of the spec unless given.
    """
    inputs = Inputs.of(spec) if inputs is None else inputs
    blocks = [block for kind, features in spec.by_kind.items() for block in kind.blocks(features, inputs)]
    # A spec without columns of a kind leaves that input as wide as nothing.
    first_input = next(iter(inputs.values()))
    no_columns = keras.ops.zeros_like(first_input if len(first_input.shape) == 1 else first_input[:, 0], dtype="float32")[
        :, None
    ][:, :0]
    matrices = [
        keras.ops.cast(_matrix(blocks, names) if names else no_columns, dtype)
        for names, dtype in ((spec.numbers, "float32"), (spec.ids, "int32"))
    ]
    arrays = {block.names[0]: block.values for block in blocks if len(block.names) == 1}
    tensors = []
    for declared in spec.tensors:
        columns = [arrays[name] for name in declared.columns]
        tensor = keras.ops.stack(columns, axis=-1) if declared.kind == "sequence" else columns[0]
        tensors.append(keras.ops.cast(tensor, declared.dtype))
    return keras.Model(dict(inputs), [*matrices, *tensors], name="preprocessing")


def network_signature(spec: FittedSpec) -> dict[str, tf.TensorSpec]:
    """The tensors (batch, …) that a network of a spec takes, by name and in its order: the preprocessing's outputs."""
    return {
        "numbers": tf.TensorSpec((None, len(spec.numbers)), tf.float32, name="numbers"),
        "ids": tf.TensorSpec((None, len(spec.ids)), tf.int32, name="ids"),
        **{
            tensor.name: tf.TensorSpec((None, *tensor.shape), tf.as_dtype(tensor.dtype), name=tensor.name)
            for tensor in spec.tensors
        },
    }


def build_scorer(network: keras.Model, preprocessing: keras.Model, head: OutputHead) -> keras.Model:
    """The network behind its preprocessing: from raw values, an input a feature, to what the head's task is read as."""
    return keras.Model(preprocessing.input, head.link(network(preprocessing.outputs)), name="scorer")


def _matrix(blocks: Sequence[Block], names: Sequence[str]) -> Tensor:
    """The named columns (batch, names), in this order; columns that come alone are stacked at once."""
    selected = set(names)
    alone = [block for block in blocks if len(block.names) == 1 and block.names[0] in selected]
    pieces: list[tuple[tuple[str, ...], Any]] = [
        (block.names, block.values) for block in blocks if len(block.names) > 1 and block.names[0] in selected
    ]
    if alone:
        stacked = keras.ops.stack([block.values for block in alone], axis=-1)
        pieces.append((tuple(block.names[0] for block in alone), stacked))
    values = [values for _, values in pieces]
    matrix = keras.ops.concatenate(values, axis=-1) if len(values) > 1 else values[0]
    position = {name: index for index, name in enumerate(name for names_of_piece, _ in pieces for name in names_of_piece)}
    order = [position[name] for name in names]
    return matrix if order == sorted(order) else keras.ops.take(matrix, np.array(order, np.int32), axis=-1)
