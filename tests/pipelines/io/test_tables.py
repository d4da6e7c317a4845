"""Tables: nothing is seen before it is published, and an interval is replaced exactly."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pyspark.sql import functions as F

from pipelines.errors import ConfigError
from pipelines.io.audit import Audit
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from pipelines.io.tables import TYPES, create
from schemas.contract import Column, ColumnType, Table
from schemas.tables import ROW_LEDGER

THINGS = Table("things", (Column("day", "int", nullable=False), Column("n", "int")), partition_by=("day",))


def publish_day(lake: Lake, day: int, *numbers: int) -> None:
    """Publish a day's numbers."""
    with Audit(lake, f"day {day}") as audit:
        rows = lake.frame(THINGS, [{"day": day, "n": n} for n in numbers])
        assert audit.write(THINGS, rows, F.col("day") == day) == len(numbers)
        audit.publish()


def content(lake: Lake) -> list[tuple[int, int]]:
    """What a reader sees."""
    return sorted((row.day, row.n) for row in lake.read("things").collect())


def branches(lake: Lake) -> set[str]:
    """The table's branches and tags."""
    return {row.name for row in lake.spark.table(f"{lake.identifier('things')}.refs").collect()}


def test_a_day_replaces_itself_and_no_other(lake: Lake) -> None:
    publish_day(lake, 1, 10, 11)
    publish_day(lake, 2, 20)
    publish_day(lake, 1, 12)
    assert content(lake) == [(1, 12), (2, 20)]


def test_a_day_can_become_empty(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    publish_day(lake, 1)
    assert content(lake) == []


def test_staged_rows_are_seen_on_the_branch_alone(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    with Audit(lake, "day 1") as audit:
        audit.write(THINGS, lake.frame(THINGS, [{"day": 1, "n": 99}]), F.col("day") == 1)
        assert content(lake) == [(1, 10)]
        assert [row.n for row in audit.read(THINGS).collect()] == [99]
        audit.publish()
    assert content(lake) == [(1, 99)]
    assert branches(lake) == {"main"}


def test_a_failed_check_leaves_main_and_no_branch(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    before = lake.snapshot_id("things")

    def fail() -> None:
        with Audit(lake, "day 1") as audit:
            audit.write(THINGS, lake.frame(THINGS, [{"day": 1, "n": 99}]), F.col("day") == 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (content(lake), lake.snapshot_id("things"), branches(lake)) == ([(1, 10)], before, {"main"})


def test_each_write_is_one_commit_stamped_with_its_run(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    table = IcebergTable(lake.spark, lake.identifier("things"))
    assert table.summary()["run_id"] == "run1"
    assert lake.publisher("things", "day 1") == "run1"


def test_a_snapshot_can_be_read_again(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    snapshot = lake.snapshot_id("things")
    publish_day(lake, 1, 11)
    assert [row.n for row in lake.read("things", snapshot).collect()] == [10]


def test_a_missing_value_in_a_required_column_is_refused(lake: Lake) -> None:
    rows = lake.spark.createDataFrame([(None, 1)], "day int, n int")
    with Audit(lake, "day 1") as audit, pytest.raises(Exception, match=r"(?i)null"):
        audit.write(THINGS, rows, F.lit(True))


def test_a_table_that_was_never_written_has_no_snapshot(lake: Lake) -> None:
    assert lake.snapshot_id("things") is None
    lake.create(THINGS)
    assert lake.snapshot_id("things") is None


def test_a_contract_may_gain_and_lose_columns(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    columns = (Column("day", "int", nullable=False), Column("word", "string", nullable=False))
    changed = Table("things", columns, partition_by=("day",))
    with Audit(lake, "day 1") as audit:
        audit.write(changed, lake.frame(changed, [{"day": 2, "word": "a"}]), F.col("day") == 2)
        audit.publish()
    assert sorted(lake.read("things").collect()) == [(1, 10, None), (2, None, "a")]


@pytest.mark.parametrize(
    ("stored", "declared", "old", "new"), [("int", "bigint", 2**31 - 1, 2**40), ("float", "double", 0.5, 1e300)]
)
def test_a_column_may_become_wider_and_old_snapshots_stay_readable(
    lake: Lake, stored: ColumnType, declared: ColumnType, old: float, new: float
) -> None:
    narrow = Table("things", (Column("day", "int", nullable=False), Column("n", stored)), partition_by=("day",))
    wide = Table("things", (Column("day", "int", nullable=False), Column("n", declared)), partition_by=("day",))
    first = lake.append(narrow, lake.frame(narrow, [{"day": 1, "n": old}]))
    with Audit(lake, "day 2") as audit:
        audit.write(wide, lake.frame(wide, [{"day": 2, "n": new}]), F.col("day") == 2)
        audit.publish()
    assert lake.read("things").schema["n"].dataType == TYPES[declared]
    assert sorted(lake.read("things").collect()) == [(1, old), (2, new)]
    assert lake.read("things").where(F.col("n") == old).count() == 1
    was = lake.read("things", first)
    assert (was.schema["n"].dataType, was.collect()) == (TYPES[stored], [(1, old)])


def test_a_column_may_become_optional(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    optional = Table("things", (Column("day", "int"), Column("n", "int")), partition_by=("day",))
    lake.append(optional, lake.frame(optional, [{"day": None, "n": 11}]))
    assert {tuple(row) for row in lake.read("things").collect()} == {(1, 10), (None, 11)}


def test_a_column_that_becomes_required_stays_optional_in_the_table(lake: Lake) -> None:
    lake.append(THINGS, lake.frame(THINGS, [{"day": 1, "n": None}]))
    required = Table(
        "things", (Column("day", "int", nullable=False), Column("n", "int", nullable=False)), partition_by=("day",)
    )
    lake.append(required, lake.frame(required, [{"day": 2, "n": 20}]))
    assert sorted(lake.read("things").collect(), key=str) == [(1, None), (2, 20)]


@pytest.mark.parametrize(
    ("stored", "declared"), [("bigint", "int"), ("double", "float"), ("int", "string"), ("int", "double"), ("string", "int")]
)
def test_any_other_change_of_type_is_refused_with_the_way_out(lake: Lake, stored: ColumnType, declared: ColumnType) -> None:
    lake.create(Table("things", (Column("n", stored),)))
    with pytest.raises(ConfigError, match=rf"column n is of type {stored}, its contract now says {declared}; .* another name"):
        lake.create(Table("things", (Column("n", declared),)))
    assert lake.read("things").schema["n"].dataType == TYPES[stored]


def test_a_table_may_be_partitioned_by_further_columns(lake: Lake) -> None:
    lake.append(THINGS, lake.frame(THINGS, [{"day": 1, "n": 1}]))
    finer = replace(THINGS, partition_by=("day", "n"))
    later = Lake(lake.spark, lake.namespace, "run2")
    later.append(finer, later.frame(finer, [{"day": 1, "n": 2}]))
    later.append_rows(finer, [{"day": 1, "n": 2}])
    assert IcebergTable(lake.spark, lake.identifier("things")).partition_columns() == ("day", "n")
    assert sorted((row.day, row.n) for row in lake.read("things").collect()) == [(1, 1), (1, 2), (1, 2)]


def test_another_partitioning_is_refused_with_the_way_out(lake: Lake) -> None:
    publish_day(lake, 1, 10)
    with pytest.raises(ConfigError, match=r"is partitioned by day, its contract now says nothing\. Put partition_by back"):
        lake.create(replace(THINGS, partition_by=()))


def test_a_wide_table_is_read_in_batches_that_fit_into_memory(lake: Lake) -> None:
    def batch_rows(name: str) -> str | None:
        rows = lake.spark.sql(f"SHOW TBLPROPERTIES {lake.identifier(name)}").collect()
        return {row.key: row.value for row in rows}.get("read.parquet.vectorization.batch-size")

    numbers = tuple(Column(f"n{at}", "int") for at in range(399))
    lake.create(THINGS)
    lake.create(replace(THINGS, name="wide", columns=(*THINGS.columns, *numbers)))
    assert (batch_rows("things"), batch_rows("wide")) == (None, "2493")  # of 401 columns as many values as 200 of 5,000 rows
    later = Lake(lake.spark, lake.namespace, "later")
    later.create(replace(THINGS, columns=(*THINGS.columns, *numbers)))
    assert batch_rows("things") == "2493"


def ledger_row(contract: Table, source: str, rows: int) -> dict[str, object]:
    """A row of row_ledger, by this contract."""
    filled = {"bigint": rows, "string": source, "timestamp": datetime(2013, 5, 1, tzinfo=UTC), "array<string>": None}
    return {column.name: filled[column.type] for column in contract.columns}


def test_a_renamed_column_is_read_by_its_new_name_from_old_tables_too(lake: Lake) -> None:
    columns = tuple(replace(column, name="stage") if column.name == "step" else column for column in ROW_LEDGER.columns)
    former = replace(ROW_LEDGER, columns=columns, key=(), partition_by=("stage", *ROW_LEDGER.partition_by[1:]))
    name = lake.identifier("row_ledger")
    create(lake.spark, name, former)
    IcebergTable(lake.spark, name).append_rows(former, [ledger_row(former, "clean", 3)], {})
    assert [(row["step"], row["rows_in"]) for row in lake.rows(ROW_LEDGER, {"step": "clean"})] == [("clean", 3)]
    lake.append_rows(ROW_LEDGER, [ledger_row(ROW_LEDGER, "ingest", 4)])
    assert "stage" not in lake.spark.table(name).columns
    assert sorted((row["step"], row["rows_in"]) for row in lake.rows(ROW_LEDGER, {})) == [("clean", 3), ("ingest", 4)]
    assert lake.rows(ROW_LEDGER, {"step": "clean"})[0]["rows_in"] == 3
    with Audit(lake, "clean of May") as audit:
        assert audit.write_rows(ROW_LEDGER, [ledger_row(ROW_LEDGER, "clean", 5)], {"step": "clean"}) == 1
        audit.publish()
    assert sorted((row.step, row.rows_in) for row in lake.read("row_ledger").collect()) == [("clean", 5), ("ingest", 4)]
