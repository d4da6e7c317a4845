"""Checkpoints come back as they were, and a damaged one says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.errors import DataError, ExternalError, RankError
from pipelines.training import checkpoint
from pipelines.training.checkpoint import Checkpoint, Keeper, load, newest, save


def test_arrays_and_notes_come_back(tmp_path: Path) -> None:
    arrays: list[npt.NDArray[Any]] = [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(7, np.int64),
        np.zeros(0, np.float32),
    ]
    arrays += [np.full(2, index) for index in range(12)]
    save(str(tmp_path / "deep" / "c.npz"), Checkpoint(arrays, {"epoch": 3, "auc": 0.5}))
    loaded = load(str(tmp_path / "deep" / "c.npz"))
    assert loaded.meta == {"epoch": 3, "auc": 0.5}
    for array, expected in zip(loaded.arrays, arrays, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["c.npz"]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[:500],
    "noise": lambda _: b"noise",
    "empty": lambda _: b"",  # as a host that lost its power may leave it
    "one byte": lambda whole: whole[:-90] + bytes([whole[-90] ^ 1]) + whole[-89:],
}


@pytest.mark.parametrize("damage", ["missing", *DAMAGES])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.npz"
    if damage != "missing":
        save(str(path), Checkpoint([np.arange(1000)], {}))
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(DataError, match=r"checkpoint .*c\.npz: can't be read"):
        load(str(path))


def test_the_newest_whole_one_is_loaded_and_damaged_ones_are_reported(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path))
    for step in range(4):
        keeper.keep(f"{step:03d}", Checkpoint([np.full(100, step)], {"step": step}))
    keeper.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["002.npz", "003.npz"]  # two stay
    errors: list[DataError] = []
    newest_path = tmp_path / "003.npz"
    newest_path.write_bytes(newest_path.read_bytes()[:-200])
    latest = newest(str(tmp_path), errors.append)
    assert latest is not None
    assert latest[0].endswith("002.npz")
    assert latest[1].meta == {"step": 2}
    assert [str(error)[:60] for error in errors] == [f"checkpoint {newest_path}: can't be read"[:60]]
    assert newest(str(tmp_path / "none"), errors.append) is None


def test_what_can_not_be_written_is_exit_5_at_the_next_one_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file, where a folder has to be")
    keeper = Keeper(str(tmp_path / "folder"))
    keeper.keep("000", Checkpoint([np.arange(3)], {}))
    with pytest.raises(ExternalError, match=r"checkpoint .*000\.npz: can't be written .*The one before it is whole") as caught:
        keeper.keep("001", Checkpoint([np.arange(3)], {}))
    assert caught.value.exit_code == 5
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_store_that_does_not_answer_damages_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> bytes:
        raise OSError("When reading information for key 'k' in bucket 'b': AWS Error NETWORK_CONNECTION during HeadObject")

    uri = str(tmp_path / "000.npz")
    save(uri, Checkpoint([np.arange(3)], {}))
    monkeypatch.setattr(checkpoint, "read_bytes", unreachable)
    monkeypatch.setattr(checkpoint, "write_bytes", unreachable)
    damaged: list[DataError] = []
    with pytest.raises(RankError, match=r"000\.npz: the store did not answer \(.*NETWORK_CONNECTION"):
        newest(str(tmp_path), damaged.append)
    assert damaged == []
    with pytest.raises(RankError, match=r"000\.npz: the store did not answer"):
        save(uri, Checkpoint([np.arange(3)], {}))
