"""Numbers that are scaled, one column or many side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipelines.features.kinds.rows import Array
from pipelines.model import Model


class Scaling(Model, allow_inf_nan=True):
    """x → (log1p?(clip?(x or fill)) - offset) / scale."""

    fill: float
    clip: tuple[float, float] | None
    log1p: bool
    offset: float
    scale: float


def scaled(values: Array, missing: Array, scalings: Sequence[Scaling], ops: Any) -> Array:
    """Scale numbers, float64: of one column (rows, …), or of as many columns as there are scalings (rows, columns)."""
    values = ops.where(missing, _row(lambda each: each.fill, scalings), values)
    values = bent(values, scalings, ops)
    return (values - _row(lambda each: each.offset, scalings)) / _row(lambda each: each.scale, scalings)


def bent(values: Array, scalings: Sequence[Scaling], ops: Any) -> Array:
    """Clip numbers to their bounds and take log(1 + x), where declared; NaN stays NaN."""
    if any(each.clip for each in scalings):
        low, high = (_row(partial(_bound, side), scalings) for side in (0, 1))
        values = ops.minimum(ops.maximum(values, low), high)
    if all(each.log1p for each in scalings):
        return ops.log1p(values)
    if any(each.log1p for each in scalings):
        some = np.array([each.log1p for each in scalings])
        values = ops.where(some, ops.log1p(ops.where(some, values, np.zeros(len(scalings)))), values)
    return values


def _bound(side: int, scaling: Scaling) -> float:
    return (scaling.clip or (-np.inf, np.inf))[side]


def _row(of: Callable[[Any], float], scalings: Sequence[Scaling]) -> Any:
    """A number of each scaling, in the values' type. As an array: of a bare number Keras makes a float32 here and there."""
    numbers = np.array([of(each) for each in scalings], np.float64)
    return numbers if len(scalings) > 1 else numbers[0]
