"""Columns of the features table as the arrays that networks take."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.features.fitted import FittedSpec, Tensor

Batch: TypeAlias = pa.Table | pa.RecordBatch

ALIGNMENT = 64  # bytes: what starts at a multiple of it TensorFlow takes as it is
TURNED_BYTES, TURNED_COLUMNS = 1 << 20, 256  # that are turned into rows at once, in the processor's cache
LINE_BYTES = 64  # of that cache


def fill_matrix(rows: Batch, names: tuple[str, ...], filled: npt.NDArray[Any]) -> None:
    """Put the named columns side by side, shape (rows, names); raises ValueError where that is not the room's.

    Columns are laid one under the other and turned some rows at a time, so that whole rows are written: column by column each
    number written is a line of the cache that has been thrown out since the last one.
    """
    if filled.shape != (rows.num_rows, len(names)):
        raise ValueError(f"{len(names)} columns of {rows.num_rows} rows do not fit in {filled.shape}")
    for first in range(0, len(names), TURNED_COLUMNS):
        some = [rows.column(name).to_numpy(zero_copy_only=False) for name in names[first : first + TURNED_COLUMNS]]
        _turn(some, filled[:, first : first + TURNED_COLUMNS])


def _turn(columns: list[npt.NDArray[Any]], filled: npt.NDArray[Any]) -> None:
    size = filled.dtype.itemsize
    step = TURNED_BYTES // (len(columns) * size)
    # A line more than the rows, for columns that lie a power of two apart share places in the cache.
    under = np.empty((len(columns), min(step, len(filled)) + LINE_BYTES // size), filled.dtype)
    for start in range(0, len(filled), step):
        rows = filled[start : start + step]
        turned = under[:, : len(rows)]
        for index, column in enumerate(columns):
            turned[index] = column[start : start + step]
        rows[...] = turned.T


def flat(column: pa.Array | pa.ChunkedArray, dtype: type | str) -> npt.NDArray[Any]:
    """A column of arrays of one length, shape (rows, length)."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    numbers: npt.NDArray[Any] = values.flatten().to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return numbers.reshape(len(values), -1)


def fill_tensor(rows: Batch, wanted: Tensor, filled: npt.NDArray[Any]) -> None:
    """Put columns of arrays into one tensor, shape (rows, *shape): several lie side by side in its last dimension."""
    for index, name in enumerate(wanted.columns):
        target = filled if len(wanted.columns) == 1 else filled[..., index]
        target[...] = flat(rows.column(name), wanted.dtype).reshape(target.shape)


def fill_inputs(rows: Batch, spec: FittedSpec, filled: tuple[npt.NDArray[Any], ...]) -> None:
    """Put what the network takes into place: numbers (rows, numbers), ids (rows, ids), then the spec's tensors."""
    numbers, ids, *tensors = filled
    fill_matrix(rows, spec.numbers, numbers)
    fill_matrix(rows, spec.ids, ids)
    for wanted, target in zip(spec.tensors, tensors, strict=True):
        fill_tensor(rows, wanted, target)


def network_inputs(rows: Batch, spec: FittedSpec) -> tuple[npt.NDArray[Any], ...]:
    """The same in arrays of their own."""
    filled = input_room(spec, rows.num_rows)
    fill_inputs(rows, spec, filled)
    return filled


def input_room(spec: FittedSpec, rows: int) -> tuple[npt.NDArray[Any], ...]:
    """Arrays for what the network takes of so many rows, with nothing in them yet."""
    tensors = (aligned((rows, *wanted.shape), wanted.dtype) for wanted in spec.tensors)
    return (aligned((rows, len(spec.numbers)), np.float32), aligned((rows, len(spec.ids)), np.int32), *tensors)


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array with nothing in it yet that begins at a multiple of ALIGNMENT, unless there is no room in it."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(kind).reshape(shape)
