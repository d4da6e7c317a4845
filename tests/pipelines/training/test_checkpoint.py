"""Checkpoints come back as they were, and a damaged one says so."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.errors import DataError
from pipelines.training.checkpoint import Checkpoint, load, save


def test_arrays_and_notes_come_back(tmp_path: Path) -> None:
    arrays: list[npt.NDArray[Any]] = [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(7, np.int64),
        np.zeros(0, np.float32),
    ]
    arrays += [np.full(2, index) for index in range(12)]
    save(str(tmp_path / "deep" / "c.npz"), Checkpoint(arrays, {"epoch": 3, "auc": 0.5}))
    found = load(str(tmp_path / "deep" / "c.npz"))
    assert found.meta == {"epoch": 3, "auc": 0.5}
    for array, expected in zip(found.arrays, arrays, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["c.npz"]


@pytest.mark.parametrize("damage", ["missing", "cut", "noise"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.npz"
    if damage != "missing":
        save(str(path), Checkpoint([np.arange(1000)], {}))
        path.write_bytes(path.read_bytes()[:500] if damage == "cut" else b"noise")
    with pytest.raises(DataError, match=r"checkpoint .*c\.npz: can't be read"):
        load(str(path))
