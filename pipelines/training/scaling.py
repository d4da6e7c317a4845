"""Numeric features scaled side by side: as many operations in the model as one number takes, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from pipelines.fitted import FittedNumeric

Tensor: TypeAlias = keras.KerasTensor


class Block(NamedTuple):
    """Some of a spec's columns of numbers: their names, and their values (batch, names), float64."""

    names: tuple[str, ...]
    values: Tensor


def scaled(features: Sequence[FittedNumeric], inputs: Mapping[str, Tensor]) -> list[Block]:
    """The numbers of numeric features, and the indicators of the missing, from raw values (batch,) by name.

    With operations of its own for each of 2,000 features the graph would have 12,000, and building, saving and converting it
    take minutes.
    """
    if not features:
        return []
    raw = keras.ops.stack([inputs[feature.name] for feature in features], axis=-1)
    missing = keras.ops.isnan(raw)
    value = keras.ops.where(missing, _row(f.fill for f in features), raw)
    if any(f.clip for f in features):
        low, high = (_row((f.clip or (-np.inf, np.inf))[side] for f in features) for side in (0, 1))
        value = keras.ops.minimum(keras.ops.maximum(value, low), high)
    if any(f.log1p for f in features):
        bent = np.array([f.log1p for f in features])
        value = keras.ops.where(bent, keras.ops.log1p(keras.ops.where(bent, value, _row(0.0 for _ in features))), value)
    value = (value - _row(f.offset for f in features)) / _row(f.scale for f in features)
    blocks = [Block(tuple(f.numbers[0] for f in features), value)]
    if told := [at for at, f in enumerate(features) if f.indicator]:
        flags = keras.ops.take(keras.ops.cast(missing, "float64"), np.array(told, np.int32), axis=-1)
        blocks.append(Block(tuple(features[at].numbers[1] for at in told), flags))
    return blocks


def side_by_side(blocks: Sequence[Block], names: Sequence[str]) -> Tensor:
    """The columns of all blocks in the order of `names`, (batch, names), float64."""
    values = [block.values for block in blocks]
    whole = keras.ops.concatenate(values, axis=-1) if len(values) > 1 else values[0]
    position = {name: at for at, name in enumerate(name for block in blocks for name in block.names)}
    order = [position[name] for name in names]
    return whole if order == sorted(order) else keras.ops.take(whole, np.array(order, np.int32), axis=-1)


def _row(values: Iterable[float]) -> npt.NDArray[np.float64]:
    """Numbers, one a feature. As an array: of a bare number Keras makes a float32 here and there."""
    return np.array(list(values), np.float64)
