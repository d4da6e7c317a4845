"""Few rows that the driver writes and reads itself are ordinary rows to Spark, and Spark's are ordinary rows to the driver."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pyspark.sql import functions as F

from pipelines.io import iceberg
from pipelines.io.audit import Audit
from pipelines.io.driver_rows import Bound
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from schemas.contract import Column, Table

READINGS = Table(
    "readings",
    (
        Column("station", "string", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("day", "int"),
        Column("count", "bigint"),
        Column("level", "double"),
        Column("ratio", "float"),
        Column("ok", "boolean"),
        Column("words", "array<string>"),
        Column("values", "array<double>"),
    ),
    partition_by=("station", "at"),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2013, 7, 1, 12, 30, 0, 250_000, tzinfo=UTC)
FULL = {
    "station": "Köln/1 %", "at": NOON, "day": -3, "count": 2**40, "level": 0.1, "ratio": 0.5, "ok": True,
    "words": ["a", None, "ü"], "values": [1.5, -2.0],
}  # fmt: skip
BARE = {"station": "b", "at": EPOCH}
EMPTY = dict.fromkeys(("day", "count", "level", "ratio", "ok", "words", "values"))


def test_what_the_driver_writes_spark_reads(lake: Lake) -> None:
    lake.append_rows(READINGS, [FULL, BARE])
    rows = {row.station: row.asDict() for row in lake.read("readings").withColumn("at", F.unix_micros("at")).collect()}
    assert rows["Köln/1 %"] == {**FULL, "at": round(NOON.timestamp() * 1e6)}
    assert rows["b"] == {**BARE, **EMPTY, "at": 0}
    filtered = lake.read("readings").where((F.col("station") == "b") & (F.col("at") == F.lit(EPOCH)))
    assert [row.station for row in filtered.collect()] == ["b"]


def test_its_files_have_partitions_and_metrics_like_any_other(lake: Lake) -> None:
    lake.append_rows(READINGS, [FULL, {**FULL, "count": 7}, BARE])
    files = {row.partition.station: row for row in lake.read("readings.files").collect()}
    assert {name: row.record_count for name, row in files.items()} == {"Köln/1 %": 2, "b": 1}
    counts = files["Köln/1 %"].readable_metrics["count"]
    assert (counts.lower_bound, counts.upper_bound, counts.null_value_count) == (7, 2**40, 0)
    summary = IcebergTable(lake.spark, lake.identifier("readings")).summary()
    assert (summary["added-records"], summary["run_id"]) == ("3", "run1")


def test_no_path_of_a_file_has_an_empty_part(lake: Lake) -> None:
    lake.append_rows(READINGS, [FULL])
    lake.append_rows(Table("plain", (Column("n", "int"),)), [{"n": 1}])
    paths = [row.file_path for name in ("readings", "plain") for row in lake.read(f"{name}.files").collect()]
    assert len(paths) == 2
    assert [path for path in paths if "//" in path.partition("://")[2] or "//" in path.removeprefix("file://")] == []


def test_what_spark_writes_the_driver_reads(lake: Lake) -> None:
    lake.append(READINGS, lake.frame(READINGS, [FULL, BARE]))
    assert lake.rows(READINGS, {"station": "b"}) == [{**BARE, **EMPTY}]
    assert lake.rows(READINGS, {"at": NOON}) == [FULL]


def test_a_selection_may_name_several_values(lake: Lake) -> None:
    lake.append_rows(READINGS, [{**BARE, "station": name, "day": day} for name in "abc" for day in (1, 2)])
    rows = lake.rows(READINGS, {"station": ("a", "c"), "day": 2})
    assert [(row["station"], row["day"]) for row in sorted(rows, key=lambda row: row["station"])] == [("a", 2), ("c", 2)]
    assert lake.rows(READINGS, {"station": ()}) == []


def test_rows_are_counted_by_metadata_where_that_says_how_many(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.create(READINGS)
    assert IcebergTable(lake.spark, lake.identifier("readings")).count_rows({}) == 0
    lake.append_rows(READINGS, [{**BARE, "station": name, "day": day} for name in "abc" for day in (1, 2)])
    lake.append_rows(READINGS, [{**BARE, "at": NOON, "day": 3}])
    table = IcebergTable(lake.spark, lake.identifier("readings"))
    assert table.count_rows({}) == 7
    assert table.count_rows({"station": "b"}) == 3
    assert table.count_rows({"station": "b", "at": Bound(">", EPOCH)}) == 1
    assert table.count_rows({"day": 2}) is None  # files have rows of other days too
    monkeypatch.setattr(iceberg, "COUNTED_FILES", 3)
    assert table.count_rows({"station": "b"}) is None


def test_a_table_that_was_never_written_has_no_rows(lake: Lake) -> None:
    assert lake.rows(READINGS, {}) == []
    lake.create(READINGS)
    assert lake.rows(READINGS, {}) == []


def test_staged_rows_replace_the_selected_ones_once_they_are_published(lake: Lake) -> None:
    lake.append_rows(READINGS, [{**BARE, "day": 1}, {**FULL, "day": 1}])
    with Audit(lake, "readings of b") as audit:
        assert audit.write_rows(READINGS, [{**BARE, "day": day} for day in (2, 3)], {"station": "b"}) == 2
        assert sorted(row["day"] for row in lake.rows(READINGS, {})) == [1, 1]
        audit.publish()
    assert sorted((row["station"], row["day"]) for row in lake.rows(READINGS, {})) == [("Köln/1 %", 1), ("b", 2), ("b", 3)]
    with Audit(lake, "readings of b") as audit:
        assert audit.write_rows(READINGS, [], {"station": "b"}) == 0
        audit.publish()
    assert [row["station"] for row in lake.rows(READINGS, {})] == ["Köln/1 %"]


def test_columns_that_came_later_are_null_and_wider_ones_keep_their_values(lake: Lake) -> None:
    narrow = Table("grown", (Column("name", "string"), Column("n", "int")))
    wide = Table("grown", (Column("name", "string"), Column("n", "bigint"), Column("more", "double")))
    lake.append_rows(narrow, [{"name": "old", "n": 1}])
    lake.append_rows(wide, [{"name": "new", "n": 2**40, "more": 0.5}])
    rows = sorted(lake.rows(wide, {}), key=lambda row: row["n"])
    assert rows == [{"name": "old", "n": 1, "more": None}, {"name": "new", "n": 2**40, "more": 0.5}]
    assert lake.read("grown").agg(F.sum("n"), F.sum("more")).collect()[0] == (2**40 + 1, 0.5)


def test_a_row_without_a_required_value_is_refused(lake: Lake) -> None:
    with pytest.raises(KeyError, match="station"):
        lake.append_rows(READINGS, [{"at": NOON}])
    assert lake.rows(READINGS, {}) == []
