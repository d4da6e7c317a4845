"""The row plan: each row once an epoch, equal steps, whatever the files, row groups and ranks, interrupted or not."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import DataError, ExternalError
from pipelines.io import row_groups
from pipelines.training.plan import PlannedRowGroup, RowPlan, Start, TrainedPart, read_groups

Row = tuple[int, int]
GROUPS = st.lists(st.integers(1, 50), min_size=1, max_size=12)


def plan(rows: list[int], ranks: int = 2, batch: int = 4, shuffle: bool = True, shuffle_rows: int = 30) -> RowPlan:
    """A plan over one file with row groups of these sizes."""
    groups = tuple(PlannedRowGroup(path="f", index=index, rows=count) for index, count in enumerate(rows))
    return RowPlan(groups=groups, ranks=ranks, batch_size=batch, seed=7, shuffle=shuffle, shuffle_rows=shuffle_rows)


def rows_of(row_plan: RowPlan, epoch: int, rank: int) -> list[Row]:
    """A rank's rows, as row group and position, in the order of training."""
    rows = []
    for block in row_plan.blocks(epoch, rank):
        inside = [(piece.group.index, row) for piece in block.slices for row in range(piece.start, piece.stop)]
        rows += [inside[at] for at in block.order()]
    return rows


def all_rows(rows: list[int]) -> list[Row]:
    """All rows."""
    return [(index, row) for index, count in enumerate(rows) for row in range(count)]


@given(GROUPS, st.integers(1, 9), st.integers(1, 20), st.integers(0, 5), st.booleans(), st.integers(1, 60))
def test_each_epoch_gives_each_row_to_one_rank(
    rows: list[int], ranks: int, batch: int, epoch: int, shuffle: bool, shuffle_rows: int
) -> None:
    row_plan = plan(rows, ranks, batch, shuffle, shuffle_rows)
    seen = [row for rank in range(ranks) for row in rows_of(row_plan, epoch, rank)]
    assert sorted(seen) == all_rows(rows)
    assert all(sum(p.stop - p.start for p in block.slices) <= shuffle_rows for block in row_plan.blocks(epoch, 0))


@given(GROUPS, st.integers(1, 9), st.integers(1, 20))
def test_steps_are_equal_and_add_up_to_all_rows(rows: list[int], ranks: int, batch: int) -> None:
    row_plan = plan(rows, ranks, batch)
    shares = [row_plan.rank_rows(0, rank) for rank in range(ranks)]
    assert sum(shares) == row_plan.rows == sum(rows)
    assert max(shares) - min(shares) <= 1
    step_rows = row_plan.step_rows(0)
    assert len(step_rows) == row_plan.steps(0) == -(-max(shares) // batch)
    assert step_rows.sum() == row_plan.rows
    assert (step_rows > 0).all()


@given(GROUPS, st.integers(1, 5), st.data(), st.booleans())
def test_rows_that_remain_after_interruptions_are_seen_once_by_any_ranks(
    rows: list[int], batch: int, data: st.DataObject, shuffle: bool
) -> None:
    row_plan, seen = plan(rows, data.draw(st.integers(1, 5)), batch, shuffle), []
    for _ in range(data.draw(st.integers(1, 3))):
        steps = data.draw(st.integers(0, row_plan.steps(1) - 1))
        seen += [row for rank in range(row_plan.ranks) for row in rows_of(row_plan, 1, rank)[: steps * batch]]
        consumed = (*row_plan.start.taken, TrainedPart(ranks=row_plan.ranks, steps=steps))
        row_plan = row_plan.model_copy(update={"ranks": data.draw(st.integers(1, 5)), "start": Start(epoch=1, taken=consumed)})
        assert row_plan.remaining_rows(1) == len(all_rows(rows)) - len(seen) == row_plan.step_rows(1).sum()
    shares = [rows_of(row_plan, 1, rank) for rank in range(row_plan.ranks)]
    assert sorted([*seen, *(row for share in shares for row in share)]) == all_rows(rows)
    assert [len(share) for share in shares] == [row_plan.rank_rows(1, rank) for rank in range(row_plan.ranks)]
    assert row_plan.remaining_rows(2) == len(all_rows(rows))  # the next epoch is whole again


@given(GROUPS, st.integers(1, 5), st.integers(1, 5), st.data())
def test_the_same_ranks_resume_with_their_own_rows_in_the_same_order(
    rows: list[int], ranks: int, batch: int, data: st.DataObject
) -> None:
    row_plan = plan(rows, ranks, batch)
    steps = data.draw(st.integers(0, row_plan.steps(0) - 1))
    resumed = row_plan.model_copy(update={"start": Start(taken=(TrainedPart(ranks=ranks, steps=steps),))})
    for rank in range(ranks):
        assert rows_of(resumed, 0, rank) == rows_of(row_plan, 0, rank)[steps * batch :]
    np.testing.assert_array_equal(resumed.step_rows(0), row_plan.step_rows(0)[steps:])


def test_epochs_differ_and_can_be_repeated() -> None:
    row_plan = plan([10] * 20)
    orders = [rows_of(row_plan, epoch, 0) for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert orders[2] == rows_of(plan([10] * 20), 2, 0)


def test_rows_are_shuffled_within_blocks_and_blocks_among_each_other() -> None:
    row_plan = plan([10] * 20, ranks=1, shuffle_rows=20)
    order = rows_of(row_plan, 0, 0)
    assert [row[0] // 2 for row in order[:20]] != [0] * 20  # not the file's first row groups
    assert len({row[0] for row in order[:20]}) == 2  # two row groups fill a block
    assert order[:20] != sorted(order[:20])


def test_without_shuffling_rows_stay_in_order() -> None:
    assert rows_of(plan([10] * 6, ranks=1, shuffle=False), 3, 0) == all_rows([10] * 6)


def test_one_huge_row_group_is_shared_and_read_in_blocks() -> None:
    row_plan = plan([1000], ranks=4, shuffle_rows=100)
    assert [len(row_plan.blocks(0, rank)) for rank in range(4)] == [3, 3, 3, 3]
    assert sorted(row for rank in range(4) for row in rows_of(row_plan, 0, rank)) == all_rows([1000])


def test_the_last_step_counts_only_its_true_rows() -> None:
    np.testing.assert_array_equal(plan([11], ranks=2, batch=4).step_rows(0), [8, 3])  # 5 and 6 rows: 4+4, then 1+2


def test_a_plan_survives_json() -> None:
    row_plan = plan([3, 4]).model_copy(update={"start": Start(epoch=2, taken=(TrainedPart(ranks=3, steps=1),))})
    assert RowPlan.model_validate_json(row_plan.model_dump_json()) == row_plan


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


def test_a_store_that_does_not_answer_is_no_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: str) -> None:
        raise OSError("When reading information for key 'k' in bucket 'b': AWS Error NETWORK_CONNECTION during HeadObject")

    monkeypatch.setattr(row_groups, "locate", unreachable)
    with pytest.raises(
        ExternalError, match=r"features file s3://b/k: the store did not answer \(.*NETWORK_CONNECTION"
    ) as caught:
        read_groups(["s3://b/k"])
    assert caught.value.exit_code == 5
