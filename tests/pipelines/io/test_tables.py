"""Tables: nothing is seen before it is published, and an interval is replaced exactly."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import functions as F

from pipelines.errors import ConfigError, ConflictError
from pipelines.io import tables
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


def test_a_run_that_was_overtaken_lands_on_top_of_the_other(lake: Lake) -> None:
    put(lake, 1, 10)
    other = Lake(lake.spark, lake.namespace, "run2")
    with lake.audit() as audit:
        audit.stage(THINGS, lake.frame(THINGS, [{"day": 1, "n": 11}]), F.col("day") == 1)
        put(other, 2, 20, 21)
        published = audit.publish()
    assert published == {"things": lake.snapshot_id("things")}
    assert (content(lake), branches(lake)) == ([(1, 11), (2, 20), (2, 21)], {"main"})


def test_of_two_runs_of_one_interval_the_later_stands(lake: Lake) -> None:
    put(lake, 1, 10)
    with lake.audit() as audit:
        audit.stage(THINGS, lake.frame(THINGS, [{"day": 1, "n": 11}]), F.col("day") == 1)
        put(Lake(lake.spark, lake.namespace, "run2"), 1, 12, 13)
        audit.publish()
    assert (content(lake), branches(lake)) == ([(1, 11)], {"main"})


def test_when_others_do_not_stop_the_error_says_who_won(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PUBLISH_ATTEMPTS", 1)
    put(lake, 1, 10)
    with lake.audit() as audit:
        audit.stage(THINGS, lake.frame(THINGS, [{"day": 1, "n": 11}]), F.col("day") == 1)
        put(Lake(lake.spark, lake.namespace, "run2"), 1, 12)
        with pytest.raises(ConflictError, match=r"things: run run2 published while this run was at work") as caught:
            audit.publish()
    assert caught.value.exit_code == 5
    assert (content(lake), branches(lake)) == ([(1, 12)], {"main"})


def test_intervals_published_at_once_all_land(lake: Lake) -> None:
    put(lake, 0, 0)
    lakes = {day: Lake(lake.spark, lake.namespace, f"run_{day}") for day in range(1, 7)}
    with ThreadPoolExecutor(len(lakes)) as pool:
        list(pool.map(lambda day: put(lakes[day], day, day, day + 100), lakes))
    assert content(lake) == sorted([(0, 0), *((day, n) for day in lakes for n in (day, day + 100))])
    assert branches(lake) == {"main"}


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
