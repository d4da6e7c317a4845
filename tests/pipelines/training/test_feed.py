"""The feed: every planned row comes once, whole, shuffled, in padded chunks of one shape."""

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import DataError, RankError
from pipelines.features.columns import ALIGNMENT
from pipelines.features.fitted import FittedSpec
from pipelines.training import decoding
from pipelines.training.decoding import Columns
from pipelines.training.feed import CHECKSUM_MODULUS, Chunk, Feed, Receipt
from pipelines.training.plan import RowPlan, read_groups

ROWS = 103
SCALE = {"fill": 0.0, "clip": None, "log1p": False, "offset": 0.0, "scale": 1.0}
COLUMNS = Columns(
    FittedSpec.model_validate(
        {
            "features": [
                {"kind": "numeric", "name": "a", **SCALE},
                {"kind": "numeric", "name": "b", **SCALE},
                {"kind": "bucketized", "name": "w", "edges": [0.0]},
            ]
        }
    )
)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two files of small row groups; row n has a = n, b = -n, w = n mod 7, label = n mod 2 and a large row id."""
    folder = tmp_path_factory.mktemp("features")
    n = np.arange(ROWS)
    table = pa.table(
        {
            "row_id": (n - 50) * 3_000_000_019,
            "label": (n % 2).astype(np.float32),
            "a": n.astype(np.float32),
            "b": -n.astype(np.float32),
            "w": (n % 7).astype(np.int32),
            "ignored": n.astype(str),
        }
    )
    pq.write_table(table.slice(0, 60), folder / "1.parquet", row_group_size=16)
    pq.write_table(table.slice(60), folder / "2.parquet", row_group_size=100)
    return [str(folder / name) for name in ("1.parquet", "2.parquet")]


def plan(paths: list[str], ranks: int = 2, batch: int = 8, shuffle: bool = True, shuffle_rows: int = 40) -> RowPlan:
    """A plan over the two files."""
    return RowPlan(groups=read_groups(paths), ranks=ranks, batch_size=batch, seed=1, shuffle=shuffle, shuffle_rows=shuffle_rows)


def read(row_plan: RowPlan, rank: int, epoch: int = 0, steps_per_call: int = 3) -> tuple[list[Chunk], Receipt]:
    """All chunks of an epoch."""
    receipt = Receipt()
    feed = Feed(row_plan, COLUMNS, rank, steps_per_call)
    return list(feed.epoch(epoch, receipt)), receipt


def values(chunks: list[Chunk]) -> npt.NDArray[np.float32]:
    """Column a of the rows that count, in the order of training."""
    if not chunks:
        return np.zeros(0, np.float32)
    numbers = np.concatenate([chunk.inputs[0] for chunk in chunks])
    weights = np.concatenate([chunk.weights for chunk in chunks])
    present: npt.NDArray[np.float32] = numbers[weights > 0][:, 0]
    return present


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 6), st.integers(1, 200), st.integers(0, 3))
def test_ranks_together_see_each_row_once(
    paths: list[str], ranks: int, batch: int, steps_per_call: int, shuffle_rows: int, epoch: int
) -> None:
    row_plan = plan(paths, ranks, batch, shuffle_rows=shuffle_rows)
    by_rank = [read(row_plan, rank, epoch, steps_per_call) for rank in range(ranks)]
    np.testing.assert_array_equal(np.sort(np.concatenate([values(chunks) for chunks, _ in by_rank])), np.arange(ROWS))
    assert {sum(chunk.steps for chunk in chunks) for chunks, _ in by_rank} == {row_plan.steps(epoch)}
    assert sum(receipt.rows for _, receipt in by_rank) == ROWS
    expected = sum((n - 50) * 3_000_000_019 % CHECKSUM_MODULUS for n in range(ROWS))
    assert sum(receipt.checksum for _, receipt in by_rank) == expected


def test_a_rows_values_stay_together(paths: list[str]) -> None:
    for chunk in read(plan(paths), 0)[0]:
        a, mask = chunk.inputs[0][..., 0], chunk.weights > 0
        np.testing.assert_array_equal(chunk.inputs[0][..., 1][mask], -a[mask])
        np.testing.assert_array_equal(chunk.inputs[1][..., 0][mask], a[mask] % 7)
        np.testing.assert_array_equal(chunk.labels[mask], a[mask] % 2)


def test_chunks_have_one_shape_and_weigh_padding_nothing(paths: list[str]) -> None:
    chunks, _ = read(plan(paths), 1)
    assert {chunk.inputs[0].shape for chunk in chunks} == {(3, 8, 2)}
    assert sum(float(chunk.weights.sum()) for chunk in chunks) == plan(paths).rank_rows(0, 1)


def test_chunks_lie_where_tensors_need_no_copy(paths: list[str]) -> None:
    for chunk in read(plan(paths), 0)[0]:
        arrays = [values for values in (*chunk.inputs, chunk.labels, chunk.weights) if values.size]
        assert len(arrays) >= 3
        assert all(values.ctypes.data % ALIGNMENT == 0 for values in arrays)


def test_epochs_are_shuffled_differently_and_repeatably(paths: list[str]) -> None:
    first, second, again = (values(read(plan(paths), 0, epoch)[0]) for epoch in (0, 1, 0))
    assert not np.array_equal(first, np.sort(first))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


def test_without_shuffling_rows_come_in_order(paths: list[str]) -> None:
    np.testing.assert_array_equal(values(read(plan(paths, ranks=1, shuffle=False), 0)[0]), np.arange(ROWS))


def test_a_file_that_goes_bad_is_named(paths: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    content = Path(paths[0]).read_bytes()
    bad.write_bytes(content)
    row_plan = plan([str(bad)])
    bad.write_bytes(b"\0" * (len(content) // 2) + content[len(content) // 2 :])
    with pytest.raises(DataError, match=r"bad\.parquet: row group \d can't be read"):
        read(row_plan, 0)


def test_leaving_early_ends_the_reader(paths: list[str]) -> None:
    epoch = Feed(plan(paths, ranks=1, batch=1, shuffle_rows=1), COLUMNS, 0, 1).epoch(0, Receipt())
    next(epoch)
    epoch.close()  # must not wait for ever for a reader that waits for room
    assert [thread for thread in threading.enumerate() if thread.name == "feed"] == []


def peak_bytes(folder: Path, rows: int) -> int:
    """The most that NumPy and Arrow held at once while one rank read a table that is a single row group."""
    n = np.arange(rows)
    columns = {"row_id": n, "label": (n % 2).astype(np.float32), "a": n.astype(np.float32), "b": n.astype(np.float32)}
    path = folder / f"{rows}.parquet"
    pq.write_table(pa.table({**columns, "w": (n % 7).astype(np.int32)}), path, row_group_size=rows)
    row_plan = plan([str(path)], ranks=1, batch=256, shuffle_rows=8192)
    arrow = pa.default_memory_pool()
    before, most = arrow.bytes_allocated(), 0
    tracemalloc.start()
    receipt = Receipt()
    for _ in Feed(row_plan, COLUMNS, 0, 8).epoch(0, receipt):
        most = max(most, arrow.bytes_allocated() - before)
    peak = tracemalloc.get_traced_memory()[1] + most
    tracemalloc.stop()
    assert receipt.rows == rows
    return peak


def test_memory_does_not_grow_with_the_table_nor_with_a_row_group(tmp_path: Path) -> None:
    few, many = peak_bytes(tmp_path, 800_000), peak_bytes(tmp_path, 4_000_000)
    assert many < few * 1.5


def test_a_file_that_ends_early_is_named(paths: list[str]) -> None:
    row_plan = plan(paths)
    groups = (row_plan.groups[0].model_copy(update={"rows": 99}), *row_plan.groups[1:])
    with pytest.raises(DataError, match=r"1\.parquet: row group 0 can't be read \(it ends after 16 rows\)"):
        read(row_plan.model_copy(update={"groups": groups}), 0)


def test_a_store_that_does_not_answer_is_a_rank_that_is_tried_again(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: str) -> None:
        raise OSError("When reading information for key 'k' in bucket 'b': AWS Error NETWORK_CONNECTION during HeadObject")

    row_plan = plan(paths)
    monkeypatch.setattr(decoding, "locate", unreachable)
    with pytest.raises(RankError, match=r"the store did not answer \(.*NETWORK_CONNECTION"):
        read(row_plan, 0)
