"""Rows that tasks write and read by Arrow are those that Spark's own writer and reader would give, of every type."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from pipelines.io import remote_rows
from pipelines.io.remote_rows import read_rows, write_rows
from pipelines.io.row_groups import files_at, files_of, read_batches

TYPES = (
    "n bigint, i int, s smallint, x double, f float, words string, yes boolean, day date, at timestamp, plain timestamp_ntz, "
    "series array<double>, names array<string>, image binary"
)
NOON = dt.datetime(2013, 7, 1, 12, 0, 0, 5)
FULL = (
    1, 2, 3, float("inf"), 0.5, "late — ü", True, dt.date(1582, 10, 15), NOON, NOON, [1.5, None], ["a", None],
    bytearray(b"\0\xff"),
)  # fmt: skip
EMPTY: tuple[object, ...] = (2, *[None] * 10, [], bytearray())


def rows_of(spark: SparkSession, *rows: tuple[object, ...]) -> list[Row]:
    """The rows as Spark gives them back."""
    return list(spark.createDataFrame(list(rows), TYPES).collect())


def test_rows_of_every_type_come_back_and_files_are_as_spark_writes_them(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.createDataFrame([FULL, EMPTY], TYPES).repartitionByRange(2, "n")
    written = write_rows(rows, str(tmp_path / "by arrow"))
    assert [Path(uri).name[:11] for uri in written] == ["part-00000-", "part-00001-"]
    files = files_at(written)
    assert sorted(read_rows(spark, files, rows.schema).collect(), key=lambda row: row.n) == rows_of(spark, FULL, EMPTY)

    rows.write.parquet(str(tmp_path / "by spark"))
    by_arrow, by_spark = (
        pa.Table.from_batches([batch for part in each.parts for batch in read_batches(part, rows.columns, ["words"])])
        for each in (files, files_of(str(tmp_path / "by spark")))
    )
    assert by_arrow.schema.field("at").type == pa.timestamp("us")
    assert by_arrow.cast(by_spark.schema).equals(by_spark)
    assert [field.type for field in by_arrow.schema if not pa.types.is_list(field.type)] == [
        field.type for field in by_spark.schema if not pa.types.is_list(field.type)
    ]
    columns = pq.read_metadata(written[0]).row_group(0)
    encodings = {columns.column(at).path_in_schema: columns.column(at) for at in range(columns.num_columns)}
    assert encodings["words"].has_dictionary_page
    assert not encodings["n"].has_dictionary_page
    assert {column.compression for column in encodings.values()} == {"LZ4"}


def test_files_of_other_attempts_and_empty_partitions_add_no_row(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.range(0, 100, 1, 4).where("id < 10 or id > 95").withColumn("half", F.col("id") / 2)
    written = write_rows(rows, str(tmp_path))
    assert [Path(uri).name[:11] for uri in written] == ["part-00000-", "part-00003-"]
    shutil.copy(written[0], tmp_path / "part-00000-of-another-attempt.parquet")
    read = read_rows(spark, files_at(written), rows.schema)
    assert sorted(row.id for row in read.collect()) == [*range(10), *range(96, 100)]
    assert read.schema.simpleString() == "struct<id:bigint,half:double>"
    assert write_rows(rows.where("id < 0"), str(tmp_path / "none")) == []
    assert read_rows(spark, files_at([]), rows.schema).collect() == []


def test_a_task_holds_one_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_rows, "GROUP_BYTES", 1600)  # 200 numbers
    batches = [pa.RecordBatch.from_pydict({"n": pa.array(range(start, start + 100))}) for start in range(0, 500, 100)]
    batches.insert(1, batches[0].slice(0, 0))
    [[uri]] = [batch.column("uri").to_pylist() for batch in remote_rows._write_part(iter(batches), str(tmp_path), ())]
    metadata = pq.read_metadata(uri)
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [200, 200, 100]
