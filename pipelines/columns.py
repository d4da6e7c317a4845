"""Columns of the features table as the matrices that networks take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def matrix(rows: pa.Table | pa.RecordBatch, names: tuple[str, ...], dtype: type) -> npt.NDArray[Any]:
    """The named columns side by side, shape (rows, names), contiguous by row."""
    filled: npt.NDArray[Any] = np.empty((rows.num_rows, len(names)), dtype)
    for index, name in enumerate(names):
        filled[:, index] = rows.column(name).to_numpy(zero_copy_only=False)
    return filled
