"""Maintenance: small files go together, what nobody needs goes, what somebody needs stays."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import Row
from pyspark.sql import functions as F

from pipelines.errors import ConflictError
from pipelines.io import iceberg, maintenance
from pipelines.io.audit import Audit
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from pipelines.io.maintenance import Maintenance, MaintenanceResult, Retention
from schemas.contract import Column, Table
from schemas.tables import features, raw

THINGS = Table("things", (Column("day", "int", nullable=False), Column("n", "int")), partition_by=("day",))
SORTED = features((), {"x": "float"})
LONG_AGO = datetime(2013, 1, 1, tzinfo=UTC)


def retention_of(*, days: float = 0, raw_days: float | None = None) -> Retention:
    """Snapshots and audit branches of so many days, orphans of three."""
    now = datetime.now(UTC)
    raw_from = None if raw_days is None else now - timedelta(days=raw_days)
    old = now - timedelta(days=days)
    return Retention(snapshots=old, orphans=now - timedelta(days=3), audits=old, raw=raw_from, file_bytes=128 << 20)


def maintain(lake: Lake, table: str = "things", retention: Retention | None = None, *, dry: bool = False) -> MaintenanceResult:
    """Maintain one table; by default everything that nothing refers to is old."""
    time.sleep(0.01)  # so that the newest commit lies before now
    return Maintenance(lake, table, retention or retention_of(), dry=dry).run()


def append_each(lake: Lake, times: int = 6) -> list[int]:
    """Append one row at a time to two days; the snapshots."""
    return [lake.append(THINGS, lake.frame(THINGS, [{"day": n % 2, "n": n}])) for n in range(times)]


def state(lake: Lake, table: str = "things") -> tuple[Any, ...]:
    """All that maintenance could change: rows, snapshots, references, files in the folder."""
    location = (
        lake.spark.sql(f"DESCRIBE EXTENDED {lake.identifier(table)}").where("col_name = 'Location'").collect()[0].data_type
    )
    metadata = IcebergTable(lake.spark, lake.identifier(table))
    files = sorted(str(path) for path in Path(location).rglob("*"))
    return sorted(lake.read(table).collect()), metadata.snapshot_id(), metadata.references(), files


def folder(lake: Lake, table: str = "things") -> Path:
    """Where the table's data files lie."""
    return Path(str(lake.read(f"{table}.files").select("file_path").first()[0]).removeprefix("file:")).parents[1]  # type: ignore[index]


@pytest.mark.slow
def test_many_small_appends_become_one_file_a_partition_with_the_same_rows(lake: Lake) -> None:
    append_each(lake)
    rows = sorted(lake.read("things").collect())
    result = maintain(lake)
    assert (result.files, sorted(lake.read("things").collect())) == ((6, 2), rows)
    assert lake.read("things.files").count() == 2
    table = IcebergTable(lake.spark, lake.identifier("things"))
    assert table.manifests() == 1
    head = table.snapshot_id()
    assert maintain(lake).files == (2, 2)
    assert IcebergTable(lake.spark, lake.identifier("things")).snapshot_id() == head  # nothing to do is no commit


@pytest.mark.slow
def test_features_keep_their_order_and_their_small_row_groups(lake: Lake) -> None:
    def rows(start: int) -> Any:
        columns = (
            "{0} as row_id, timestamp'2013-01-01' as interval_from, timestamp'2014-01-01' as interval_to, 'train' as split"
        )
        frame = lake.spark.range(start, 400_000, 2, 1)
        return frame.selectExpr(*columns.format("xxhash64(id)").split(", "), "float(id % 2) as label", "float(rand(1)) as x")

    lake.append(SORTED, rows(0))
    lake.append(SORTED, rows(1))
    assert maintain(lake, "features").files == (2, 1)
    file = pq.ParquetFile(next(row.file_path for row in lake.read("features.files").collect()).removeprefix("file:"))
    ids = file.read(columns=["row_id"])["row_id"].to_numpy()
    assert len(ids) == 400_000
    assert (ids[1:] > ids[:-1]).all()
    assert file.num_row_groups > 1
    assert file.metadata.row_group(0).column(0).compression == "LZ4"


@pytest.mark.slow
def test_a_tag_keeps_its_snapshot_readable_while_others_go(lake: Lake) -> None:
    first, second, *_ = append_each(lake)
    IcebergTable(lake.spark, lake.identifier("things")).tag("train_run0", second)
    assert maintain(lake).snapshots >= 4
    assert sorted(row.n for row in lake.read("things", "train_run0").collect()) == [0, 1]
    assert sorted(row.n for row in lake.read("things").collect()) == list(range(6))
    with pytest.raises(Exception, match=r"(?i)snapshot"):
        lake.read("things", first).collect()


@pytest.mark.slow
@pytest.mark.parametrize("few", [500, 0])  # files, of which the driver sees to it; of more Spark does
def test_what_is_old_goes_to_the_millisecond(lake: Lake, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(iceberg, "COUNTED_FILES", few)
    append_each(lake)
    table = IcebergTable(lake.spark, lake.identifier("things"))
    moments = sorted(row.committed_at.astimezone(UTC) for row in lake.read("things.snapshots").collect())
    since = moments[3]
    assert maintain(lake, retention=replace(retention_of(), snapshots=since)).snapshots == 3
    assert sorted(row.committed_at.astimezone(UTC) for row in lake.read("things.snapshots").collect())[0] == since
    assert table.expirable(since) == 0


@pytest.mark.slow
def test_young_snapshots_stay(lake: Lake) -> None:
    first, *_ = append_each(lake)
    assert maintain(lake, retention=retention_of(days=1)).snapshots == 0
    assert [row.n for row in lake.read("things", first).collect()] == [0]


@pytest.mark.slow
@pytest.mark.parametrize(("own_client", "few"), [(False, 500), (True, 0)])  # Hadoop's client can list files either way
def test_an_orphan_goes_and_live_and_young_files_stay(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, own_client: bool, few: int
) -> None:
    monkeypatch.setattr(IcebergTable, "has_own_client", lambda _: own_client)
    monkeypatch.setattr(iceberg, "COUNTED_FILES", few)
    append_each(lake)
    old, young = (folder(lake) / "day=0" / name for name in ("old.parquet", "young.parquet"))
    for path in (old, young):
        path.write_bytes(b"left by a killed run")
    long_ago = LONG_AGO.timestamp()
    os.utime(old, (long_ago, long_ago))
    for row in lake.read("things.files").collect():  # old and live
        os.utime(row.file_path.removeprefix("file:"), (long_ago, long_ago))
    assert maintain(lake, retention=retention_of(days=1)).orphans == 1
    assert (old.exists(), young.exists()) == (False, True)
    assert sorted(row.n for row in lake.read("things").collect()) == list(range(6))


@pytest.mark.slow
def test_a_table_of_few_files_is_looked_through_without_a_job_of_sparks(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = append_each(lake)
    table = IcebergTable(lake.spark, lake.identifier("things"))
    table.tag("train_run0", first)  # whose file no other snapshot has once the six are two
    maintain(lake)
    for path in filter(Path.is_file, folder(lake).parent.rglob("*")):
        os.utime(path, (0, 0))
    called: list[str] = []

    def call(_: Maintenance, procedure: str, __: str = "") -> list[Row]:
        called.append(procedure)
        return []

    monkeypatch.setattr(Maintenance, "_call", call)
    result = maintain(lake)
    assert (result.files, result.snapshots, result.orphans, called) == ((2, 2), 1, 0, [])  # the one before compaction
    (folder(lake) / "day=0" / "old.parquet").write_bytes(b"left by a killed run")
    os.utime(folder(lake) / "day=0" / "old.parquet", (0, 0))
    maintain(lake)
    assert called == ["remove_orphan_files"]


@pytest.mark.slow
def test_a_stale_audit_branch_goes_and_a_running_ones_stays(lake: Lake) -> None:
    append_each(lake, 1)
    now = datetime.now(UTC)
    table = IcebergTable(lake.spark, lake.identifier("things"))
    # A running ingest's branch begins on a snapshot that may be old: the run's own stamp has its age.
    names = [f"audit_{now - timedelta(days=days):%Y%m%dt%H%M%S}_abcdef" for days in (-1, 3)]
    for name in (*names, "mine"):
        table.create_branch(name)
    assert maintain(lake).branches == 1
    assert set(IcebergTable(lake.spark, lake.identifier("things")).references()) == {"main", "mine", names[0]}


@pytest.mark.slow
def test_a_run_that_began_before_maintenance_still_lands(lake: Lake) -> None:
    append_each(lake)
    with Audit(lake, "day 1") as audit:
        audit.write(THINGS, lake.frame(THINGS, [{"day": 1, "n": 99}]), F.col("day") == 1)
        maintain(lake, retention=retention_of(days=1))
        audit.publish()
    assert sorted((row.day, row.n) for row in lake.read("things").collect()) == [(0, 0), (0, 2), (0, 4), (1, 99)]


@pytest.mark.slow
def test_maintenance_beside_writers_loses_no_row(lake: Lake) -> None:
    append_each(lake)

    def write(number: int) -> None:
        run = Lake(lake.spark, lake.namespace, f"run_{number}")
        with Audit(run, f"day {number}") as audit:
            audit.write(THINGS, run.frame(THINGS, [{"day": number, "n": number}]), F.col("day") == number)
            audit.publish()

    with ThreadPoolExecutor(2) as pool:
        writes = [pool.submit(write, number) for number in range(10, 16)]
        maintain(lake, retention=retention_of(days=1))
        for written in writes:
            written.result()
    assert sorted(row.n for row in lake.read("things").collect()) == [*range(6), *range(10, 16)]


@pytest.mark.slow
def test_raw_rows_of_intervals_long_past_go_and_others_stay(lake: Lake) -> None:
    contract = raw(THINGS)
    today = datetime.now(UTC).replace(microsecond=0)
    for end in (LONG_AGO, today - timedelta(days=31), today - timedelta(days=29)):
        row = dict.fromkeys(contract.column_names) | {
            "day": "1", "run_id": "r", "interval_from": end - timedelta(days=1), "interval_to": end,
        }  # fmt: skip
        lake.append(contract, lake.frame(contract, [row, row]))
    assert maintain(lake, "raw_things", retention_of(days=1, raw_days=30), dry=True).rows == 4
    assert lake.read("raw_things").count() == 6
    expiring = Lake(lake.spark, lake.namespace, "run_maintain")
    assert maintain(expiring, "raw_things", retention_of(days=1, raw_days=30)).rows == 4
    remaining = lake.read("raw_things").collect()
    assert [row.interval_to.astimezone(UTC) for row in remaining] == [today - timedelta(days=29)] * 2
    deleted = lake.read("raw_things.snapshots").where("operation = 'delete'").collect()
    assert [row.summary["run_id"] for row in deleted] == ["run_maintain"]


@pytest.mark.slow
@pytest.mark.parametrize("few", [500, 0])
def test_a_dry_run_says_what_would_be_done_and_changes_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(iceberg, "COUNTED_FILES", few)
    append_each(lake)
    IcebergTable(lake.spark, lake.identifier("things")).create_branch("audit_20130101t000000_abcdef")
    orphan = folder(lake) / "day=0" / "old.parquet"
    orphan.write_bytes(b"")
    os.utime(orphan, (0, 0))
    before = state(lake)
    plan = maintain(lake, dry=True)
    assert (plan.files, plan.snapshots, plan.orphans, plan.branches) == ((6, 2), 5, 1, 1)
    assert state(lake) == before


@pytest.mark.slow
def test_an_empty_table_is_left_alone(lake: Lake) -> None:
    lake.create(THINGS)
    assert maintain(lake) == MaintenanceResult("things", (0, 0), (0, 0), 0, 0, 0, 0)


@pytest.mark.slow
def test_when_others_do_not_stop_the_error_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "PAUSE_SECONDS", 0)
    lake.append(THINGS, lake.frame(THINGS, [{"day": 1, "n": n} for n in (1, 5)]))
    table = IcebergTable(lake.spark, lake.identifier("things"))._table
    some = lake.spark._jvm.org.apache.iceberg.expressions.Expressions.lessThan("n", 3)  # type: ignore[union-attr]
    tried = []

    def refused() -> None:
        tried.append(1)
        table.newDelete().deleteFromRowFilter(some).commit()  # a real ValidationException: the file has other rows too

    with pytest.raises(ConflictError, match=r"other runs committed to it during each of 5 attempts"):
        maintenance._retry_on_conflict(refused, "things")
    assert len(tried) == 5


@pytest.mark.slow
def test_an_error_that_is_no_conflict_is_not_tried_again(lake: Lake) -> None:
    tried = []

    def fail() -> None:
        tried.append(1)
        lake.spark._jvm.java.nio.file.Files.readString(  # type: ignore[union-attr]
            lake.spark._jvm.java.io.File("/proc/none").toPath()  # type: ignore[union-attr]
        )

    with pytest.raises(Py4JJavaError, match="NoSuchFile"):
        maintenance._retry_on_conflict(fail, "things")
    assert len(tried) == 1
