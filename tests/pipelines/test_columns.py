"""Columns side by side: the numbers of the table, whatever its shape."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from pipelines.columns import ALIGNMENT, TURNED_BYTES, aligned, fill_matrix

SHAPES = [(0, 3), (5, 0), (1, 1), (7, 2), (TURNED_BYTES // 4 + 1, 1), (20_001, 33), (3, 300_000)]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize(
    ("rows", "names"), [(0, 3), (5, 0), (1, 1), (7, 2), (TURNED_BYTES // 4 + 1, 1), (20_001, 33), (3, 300_000)]
)
def test_a_matrix_has_each_column_in_its_place(rows: int, names: int, dtype: npt.DTypeLike) -> None:
    expected: npt.NDArray[np.generic] = np.arange(rows * names, dtype=dtype).reshape(rows, names)
    table = pa.table({f"c{name}": expected[:, name] for name in range(names)})
    filled = np.full((rows, names), -1, dtype)
    fill_matrix(table, tuple(table.column_names), filled)
    np.testing.assert_array_equal(filled, expected)


def test_a_matrix_of_other_columns_in_another_order_and_type() -> None:
    table = pa.table({"a": pa.chunked_array([[1, 2], [3]]), "b": ["x", "y", "z"], "c": pa.array([4, 5, 6], pa.int8())})
    filled = np.zeros((3, 2), np.float32)
    fill_matrix(table, ("c", "a"), filled)
    assert filled.tolist() == [[4, 1], [5, 2], [6, 3]]


@pytest.mark.parametrize("shape", [(3,), (5, 0), (0,), (7, 2, 3)])
def test_rooms_begin_where_tensors_may(shape: tuple[int, ...]) -> None:
    room = aligned(shape, np.float32)
    assert (room.shape, room.dtype, room.ctypes.data % ALIGNMENT) == (shape, np.dtype(np.float32), 0)
