"""Tables: nothing is seen before it is published, and an interval is replaced exactly."""

import pytest
from pyspark.sql import functions as F

from pipelines.errors import ConfigError, ExternalError
from pipelines.io.iceberg import IcebergTable
from pipelines.io.tables import Lake
from schemas.contract import Column, Table

THINGS = Table("things", (Column("day", "int", nullable=False), Column("n", "int")), partition_by=("day",))


def put(lake: Lake, day: int, *numbers: int) -> None:
    """Publish a day's numbers."""
    with lake.audit() as audit:
        rows = lake.frame(THINGS, [{"day": day, "n": n} for n in numbers])
        assert audit.stage(THINGS, rows, F.col("day") == day) == len(numbers)
        audit.publish()


def content(lake: Lake) -> list[tuple[int, int]]:
    """What a reader sees."""
    return sorted((row.day, row.n) for row in lake.read("things").collect())


def branches(lake: Lake) -> set[str]:
    """The table's branches and tags."""
    return {row.name for row in lake.spark.table(f"{lake.identifier('things')}.refs").collect()}


def test_a_day_replaces_itself_and_no_other(lake: Lake) -> None:
    put(lake, 1, 10, 11)
    put(lake, 2, 20)
    put(lake, 1, 12)
    assert content(lake) == [(1, 12), (2, 20)]


def test_a_day_can_become_empty(lake: Lake) -> None:
    put(lake, 1, 10)
    put(lake, 1)
    assert content(lake) == []


def test_staged_rows_are_seen_on_the_branch_alone(lake: Lake) -> None:
    put(lake, 1, 10)
    with lake.audit() as audit:
        audit.stage(THINGS, lake.frame(THINGS, [{"day": 1, "n": 99}]), F.col("day") == 1)
        assert content(lake) == [(1, 10)]
        assert [row.n for row in audit.read(THINGS).collect()] == [99]
        audit.publish()
    assert content(lake) == [(1, 99)]
    assert branches(lake) == {"main"}


def test_a_failed_check_leaves_main_and_no_branch(lake: Lake) -> None:
    put(lake, 1, 10)
    before = lake.snapshot_id("things")

    def fail() -> None:
        with lake.audit() as audit:
            audit.stage(THINGS, lake.frame(THINGS, [{"day": 1, "n": 99}]), F.col("day") == 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (content(lake), lake.snapshot_id("things"), branches(lake)) == ([(1, 10)], before, {"main"})


def test_of_two_runs_at_once_the_second_is_told_who_won(lake: Lake) -> None:
    put(lake, 1, 10)
    other = Lake(lake.spark, lake.namespace, "run2")
    with lake.audit() as audit:
        audit.stage(THINGS, lake.frame(THINGS, [{"day": 1, "n": 11}]), F.col("day") == 1)
        put(other, 1, 12)
        with pytest.raises(ExternalError, match=r"things: run run2 published while this run was at work") as caught:
            audit.publish()
    assert caught.value.exit_code == 5
    assert (content(lake), branches(lake)) == ([(1, 12)], {"main"})


def test_each_write_is_one_commit_stamped_with_its_run(lake: Lake) -> None:
    put(lake, 1, 10)
    table = IcebergTable(lake.spark, lake.identifier("things"))
    assert table.summary()["run_id"] == "run1"


def test_a_snapshot_can_be_read_again(lake: Lake) -> None:
    put(lake, 1, 10)
    snapshot = lake.snapshot_id("things")
    put(lake, 1, 11)
    assert [row.n for row in lake.read("things", snapshot).collect()] == [10]


def test_a_missing_value_in_a_required_column_is_refused(lake: Lake) -> None:
    rows = lake.spark.createDataFrame([(None, 1)], "day int, n int")
    with lake.audit() as audit, pytest.raises(Exception, match=r"(?i)null"):
        audit.stage(THINGS, rows, F.lit(True))


def test_a_table_that_was_never_written_has_no_snapshot(lake: Lake) -> None:
    assert lake.snapshot_id("things") is None
    lake.create(THINGS)
    assert lake.snapshot_id("things") is None


def test_a_contract_may_gain_and_lose_columns(lake: Lake) -> None:
    put(lake, 1, 10)
    changed = Table("things", (Column("day", "int", nullable=False), Column("word", "string", nullable=False)))
    with lake.audit() as audit:
        audit.stage(changed, lake.frame(changed, [{"day": 2, "word": "a"}]), F.col("day") == 2)
        audit.publish()
    assert sorted(lake.read("things").collect()) == [(1, 10, None), (2, None, "a")]


def test_a_column_of_another_type_is_refused_with_the_way_out(lake: Lake) -> None:
    put(lake, 1, 10)
    changed = Table("things", (Column("day", "int", nullable=False), Column("n", "string")))
    with pytest.raises(ConfigError, match=r"column n is of type int, its contract now says string\. Give the new column"):
        lake.create(changed)
