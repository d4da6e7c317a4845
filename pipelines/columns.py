"""Columns of the features table as the arrays that networks take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.fitted import FittedSpec, Tensor


def matrix(rows: pa.Table | pa.RecordBatch, names: tuple[str, ...], dtype: type) -> npt.NDArray[Any]:
    """The named columns side by side, shape (rows, names), contiguous by row."""
    filled: npt.NDArray[Any] = np.empty((rows.num_rows, len(names)), dtype)
    for index, name in enumerate(names):
        filled[:, index] = rows.column(name).to_numpy(zero_copy_only=False)
    return filled


def flat(column: pa.Array | pa.ChunkedArray, dtype: type | str) -> npt.NDArray[Any]:
    """A column of arrays of one length, shape (rows, length)."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: npt.NDArray[Any] = values.flatten().to_numpy(zero_copy_only=False).astype(dtype, copy=False)
    return found.reshape(len(values), -1)


def tensor(rows: pa.Table | pa.RecordBatch, wanted: Tensor) -> npt.NDArray[Any]:
    """Columns of arrays as one tensor, shape (rows, *shape): several lie side by side in its last dimension."""
    if len(wanted.columns) == 1:
        return flat(rows.column(wanted.columns[0]), wanted.dtype).reshape(rows.num_rows, *wanted.shape)
    filled: npt.NDArray[Any] = np.empty((rows.num_rows, *wanted.shape), wanted.dtype)
    for index, name in enumerate(wanted.columns):
        filled[..., index] = flat(rows.column(name), wanted.dtype)
    return filled


def network_inputs(rows: pa.Table | pa.RecordBatch, spec: FittedSpec) -> tuple[npt.NDArray[Any], ...]:
    """What the network takes: numbers (rows, numbers), ids (rows, ids), then the spec's tensors."""
    tensors = (tensor(rows, wanted) for wanted in spec.tensors)
    return (matrix(rows, spec.numbers, np.float32), matrix(rows, spec.ids, np.int32), *tensors)
