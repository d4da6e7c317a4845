"""Columns side by side: the numbers of the table, whatever its shape."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from pipelines.features.columns import ALIGNMENT, TURNED_BYTES, TURNED_COLUMNS, aligned, fill_matrix

SHAPES = [(0, 3), (1, 1), (7, 2), (TURNED_BYTES // 4 + 1, 1), (20_001, 33), (3, TURNED_COLUMNS + 1), (5_000, 600)]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize(("rows", "names"), SHAPES)
def test_a_matrix_has_each_column_at_its_position(rows: int, names: int, dtype: npt.DTypeLike) -> None:
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


def test_a_matrix_of_no_columns_is_empty() -> None:
    filled = np.zeros((2, 0), np.float32)
    fill_matrix(pa.table({"a": [1, 2]}), (), filled)
    assert filled.size == 0


@pytest.mark.parametrize("room", [(3, 1), (1, 1), (2, 2)])
def test_a_room_of_another_size_is_refused(room: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 columns of 2 rows do not fit"):
        fill_matrix(pa.table({"a": [1, 2]}), ("a",), np.zeros(room, np.float32))


@pytest.mark.parametrize("shape", [(3,), (5, 0), (0,), (7, 2, 3)])
def test_rooms_begin_where_tensors_may(shape: tuple[int, ...]) -> None:
    room = aligned(shape, np.float32)
    assert (room.shape, room.dtype) == (shape, np.dtype(np.float32))
    assert not room.size or room.ctypes.data % ALIGNMENT == 0
