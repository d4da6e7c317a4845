"""Files that tasks write by Arrow and the driver commits: ordinary rows, none of them twice, and nothing left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from pipelines.io.audit import Audit
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from pipelines.io.maintenance import Maintenance, Retention
from pipelines.io.task_files import FileLayout, WrittenFile, run_tasks
from schemas.contract import Column, Table

MAY, JUNE, JULY = (datetime(2013, month, 1, tzinfo=UTC) for month in (5, 6, 7))
MEASURED = Table(
    "measured",
    (
        Column("begins", "timestamp", nullable=False),
        Column("part", "string", nullable=False),
        Column("n", "bigint", nullable=False),
        Column("x", "float"),
        Column("values", "array<float>"),
        Column("late", "string"),
    ),
    partition_by=("begins", "part"),
    properties={"write.parquet.row-group-size-bytes": "4096", "write.parquet.compression-codec": "lz4_raw"},
)
PARTITIONS = [{"begins": MAY, "part": "odd"}, {"begins": MAY, "part": "even/1"}]
WHERE = {"begins": MAY}
ROWS = 1000


def rows_of(begins: datetime, part: str, numbers: Sequence[int]) -> pa.Table:
    """A row a number; x is its half, and each third has no x."""
    halves = [None if number % 3 == 0 else number / 2 for number in numbers]
    return pa.table(
        {
            "n": pa.array(numbers, pa.int64()),
            "x": pa.array(halves, pa.float32()),
            "values": pa.array([[number, 0.5] for number in numbers], pa.list_(pa.float32())),
            "begins": pa.array([begins] * len(numbers), pa.timestamp("us", "UTC")),
            "part": [part] * len(numbers),
        }
    )


class Writer:
    """Writes the numbers of a task, odd and even ones apart; a task that is `repeated` is done by two attempts."""

    def __init__(self, layout: FileLayout, repeated: int | None = None) -> None:
        self._layout, self._repeated = layout, repeated

    def __call__(self, task: int) -> Iterator[WrittenFile]:
        """One file a partition."""
        if task == self._repeated:
            list(self._write(task))  # an attempt whose result reaches nobody
        yield from self._write(task)

    def _write(self, task: int) -> Iterator[WrittenFile]:
        for partition, values in enumerate(PARTITIONS):
            numbers = range(task * ROWS + 1 - partition, (task + 1) * ROWS, 2)
            rows = rows_of(values["begins"], str(values["part"]), numbers)  # type: ignore[arg-type]
            yield self._layout.write(partition, rows, f"{task:05d}")


def staged(lake: Lake, tasks: int, repeated: int | None = None) -> int:
    """Write the rows of so many tasks, of which none is seen before they are published; how many."""
    before = lake.read("measured").count() if lake.exists("measured") else 0
    with Audit(lake, "measured in May") as audit:
        rows = audit.write_files(
            MEASURED, PARTITIONS, WHERE, lambda layout: run_tasks(lake.spark, tasks, Writer(layout, repeated))
        )
        assert lake.read("measured").count() == before
        audit.publish()
    return rows


def files_below(lake: Lake) -> list[Path]:
    """The data files of the table that lie on disk."""
    location = lake.spark.sql(f"DESCRIBE EXTENDED {lake.identifier('measured')}").where("col_name = 'Location'").collect()[0]
    return sorted(Path(location.data_type.removeprefix("file:")).rglob("*.parquet"))


@pytest.fixture(scope="module")
def measured(spark: SparkSession) -> Lake:
    """A lake whose table had a row of May and one of June before two tasks, one of them in two attempts, wrote May's rows."""
    lake = Lake(spark, "t_measured", "run1")
    lake.append_rows(MEASURED, [{"begins": MAY, "part": "odd", "n": -1}, {"begins": JUNE, "part": "odd", "n": -2}])
    assert staged(lake, 2, repeated=1) == 2 * ROWS
    return lake


def test_each_row_is_there_once_and_the_intervals_former_rows_are_replaced(measured: Lake) -> None:
    rows = measured.read("measured")
    assert [row.n for row in rows.where("n < 0").collect()] == [-2]  # May's former rows are replaced, June's are not
    by_n = {row.n: (row.x, row["values"], row.late, row.part) for row in rows.where("n >= 0").collect()}
    assert sorted(by_n) == list(range(2 * ROWS))
    assert (by_n[3], by_n[4]) == ((None, [3, 0.5], None, "odd"), (2, [4, 0.5], None, "even/1"))


def test_files_have_the_counts_and_bounds_by_which_a_query_skips_them(measured: Lake) -> None:
    pruned = measured.read("measured").where((F.col("part") == "even/1") & (F.col("n") < ROWS))
    assert pruned.count() == ROWS // 2
    assert {row.n % 2 for row in pruned.collect()} == {0}
    files = even_files(measured)
    assert [row.record_count for row in files] == [ROWS // 2] * 2
    assert [row.readable_metrics.n.lower_bound for row in files] == [0, ROWS]
    table = IcebergTable(measured.spark, measured.identifier("measured"))
    assert table.data_files({"part": "even/1", "n": 2}) == [files[0].file_path]  # by the metrics of the other


def test_files_have_the_tables_row_groups_compression_and_field_ids(measured: Lake) -> None:
    first = pq.ParquetFile(even_files(measured)[0].file_path.removeprefix("file:"))
    group = first.metadata.row_group(0)
    assert (first.num_row_groups > 1, group.column(0).compression) == (True, "LZ4")
    assert first.schema_arrow.field("n").metadata[b"PARQUET:field_id"] == b"3"


def test_an_interval_that_is_written_again_is_replaced_and_its_history_kept(measured: Lake) -> None:
    assert staged(measured, 2) == 2 * ROWS
    history = measured.read("measured.snapshots").orderBy("committed_at").collect()
    assert [row.summary["added-records"] for row in history[1:]] == ["2000", "2000"]
    assert measured.read("measured", history[0].snapshot_id).count() == 2  # time travel


def even_files(lake: Lake) -> list[Row]:
    """The data files of the even numbers, as Iceberg's metadata have them."""
    return lake.read("measured.files").where("partition.part = 'even/1'").orderBy("file_path").collect()


@pytest.mark.slow
def test_maintenance_removes_the_file_of_an_attempt_that_nobody_committed(lake: Lake) -> None:
    staged(lake, 2, repeated=0)
    orphans = len(files_below(lake)) - lake.read("measured.files").count()
    assert orphans == 2
    old = time.time() - timedelta(days=4).total_seconds()
    for path in files_below(lake):
        os.utime(path, (old, old))
    now = datetime.now(UTC)
    keep = Retention(now - timedelta(days=1), now - timedelta(days=3), now - timedelta(days=1), None, 1)
    assert Maintenance(lake, "measured", keep, dry=False).run().orphans == orphans
    assert len(files_below(lake)) == lake.read("measured.files").count() == 4
    assert lake.read("measured").count() == 2 * ROWS


def test_a_failed_write_commits_nothing_and_leaves_no_file(lake: Lake) -> None:
    lake.append_rows(MEASURED, [{"begins": MAY, "part": "odd", "n": -1}])
    before = files_below(lake)

    def write(layout: FileLayout) -> list[WrittenFile]:
        rows = rows_of(MAY, "odd", [1, 2]).set_column(0, "n", pa.array([1, None], pa.int64()))
        return [layout.write(0, rows, "00000")]

    with pytest.raises(pa.ArrowInvalid, match="non-nullable"), Audit(lake, "measured in May") as audit:
        audit.write_files(MEASURED, PARTITIONS, WHERE, write)
    assert files_below(lake) == before
    assert [row.n for row in lake.read("measured").collect()] == [-1]
    assert not any(row.name.startswith("audit_") for row in lake.read("measured.refs").collect())


def test_an_interval_without_rows_is_emptied(lake: Lake) -> None:
    lake.append_rows(MEASURED, [{"begins": MAY, "part": "odd", "n": 1}, {"begins": JULY, "part": "odd", "n": 2}])
    assert staged(lake, 0) == 0
    assert [row.n for row in lake.read("measured").collect()] == [2]
