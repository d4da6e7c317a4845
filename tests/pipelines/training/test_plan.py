"""The row plan: each row once an epoch, equal steps, whatever the files, row groups and ranks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import DataError
from pipelines.training.plan import RowGroup, RowPlan, read_groups


def plan(rows: list[int], ranks: int = 2, batch: int = 4, shuffle: bool = True) -> RowPlan:
    """A plan over one file with row groups of these sizes."""
    groups = tuple(RowGroup(path="f", index=index, rows=count) for index, count in enumerate(rows))
    return RowPlan(groups=groups, ranks=ranks, batch_size=batch, seed=7, shuffle=shuffle)


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=12),
    st.integers(1, 9),
    st.integers(1, 20),
    st.integers(0, 5),
    st.booleans(),
)
def test_each_epoch_gives_each_row_to_one_rank(rows: list[int], ranks: int, batch: int, epoch: int, shuffle: bool) -> None:
    made = plan(rows, ranks, batch, shuffle)
    seen = [
        (piece.group.index, row)
        for rank in range(ranks)
        for piece in made.slices(epoch, rank)
        for row in range(piece.start, piece.stop)
    ]
    assert sorted(seen) == [(index, row) for index, count in enumerate(rows) for row in range(count)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 9), st.integers(1, 20))
def test_steps_are_equal_and_add_up_to_all_rows(rows: list[int], ranks: int, batch: int) -> None:
    made = plan(rows, ranks, batch)
    shares = [made.rank_rows(rank) for rank in range(ranks)]
    assert sum(shares) == made.rows == sum(rows)
    assert max(shares) - min(shares) <= 1
    step_rows = made.step_rows()
    assert len(step_rows) == made.steps == -(-max(shares) // batch)
    assert step_rows.sum() == made.rows
    assert (step_rows > 0).all()


def test_epochs_differ_and_can_be_repeated() -> None:
    made = plan([10] * 20)
    orders = [[piece.group.index for piece in made.slices(epoch, 0)] for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[2] == [piece.group.index for piece in plan([10] * 20).slices(2, 0)]


def test_without_shuffling_rows_stay_in_order() -> None:
    assert [piece.group.index for piece in plan([10] * 6, ranks=1, shuffle=False).slices(3, 0)] == list(range(6))


def test_the_last_step_counts_only_its_true_rows() -> None:
    np.testing.assert_array_equal(plan([11], ranks=2, batch=4).step_rows(), [8, 3])  # 5 and 6 rows: 4+4, then 1+2


def test_a_plan_survives_json() -> None:
    made = plan([3, 4])
    assert RowPlan.model_validate_json(made.model_dump_json()) == made


def test_groups_come_from_footers_and_empty_files_give_none(tmp_path: Path) -> None:
    table = pa.table({"x": range(10)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    pq.write_table(table.slice(0, 0), tmp_path / "b.parquet")
    groups = read_groups([str(tmp_path / "a.parquet"), f"file://{tmp_path}/b.parquet"])
    assert [(group.index, group.rows) for group in groups] == [(0, 4), (1, 4), (2, 2)]


@pytest.mark.parametrize("content", [None, b"not parquet"])
def test_a_footer_that_cannot_be_read_names_the_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.parquet"
    if content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.parquet: its Parquet footer can't be read"):
        read_groups([str(path)])
