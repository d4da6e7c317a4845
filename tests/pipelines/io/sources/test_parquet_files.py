"""Parquet lands as text that reads back as the same value."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Row, SparkSession

from pipelines.config import Interval
from pipelines.errors import DataError
from pipelines.io.sources.parquet_files import ParquetFiles
from schemas.contract import Column, Table

NAMES = ("id", "share", "at", "local", "blob", "tags", "note")
CONTRACT = Table("people", tuple(Column(name, "string") for name in NAMES))
YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))


def read(spark: SparkSession, path: Path, **settings: Any) -> list[Row]:
    """The rows of Parquet files."""
    return ParquetFiles(kind="parquet", path=str(path), **settings).read(spark, CONTRACT, YEAR).collect()


def table(**columns: Any) -> pa.Table:
    """One row with all the contract's columns, some of them given."""
    return pa.table({name: columns.get(name, pa.nulls(1, pa.string())) for name in NAMES})


def test_values_land_as_text_that_reads_back(spark: SparkSession, tmp_path: Path) -> None:
    at = datetime(2013, 3, 10, 6, 30, 0, 125, tzinfo=UTC)
    content = table(
        id=pa.array([2**40]),
        share=pa.array([0.1 + 0.2]),
        at=pa.array([at], pa.timestamp("us", "America/New_York")),
        local=pa.array([at.replace(tzinfo=None)], pa.timestamp("us")),
        blob=pa.array([b"\x00\xff"]),
        tags=pa.array([["a", "b"]]),
    )
    pq.write_table(content, tmp_path / "a.parquet")
    row = read(spark, tmp_path / "a.parquet")[0]
    assert (row.id, float(row.share), row.note) == ("1099511627776", 0.1 + 0.2, None)
    assert (row.at, row.local) == ("2013-03-10T06:30:00.000125Z", "2013-03-10 06:30:00.000125")
    assert (row.blob, row.tags) == ("\\x00FF", '["a","b"]')
    assert (row.source_file.endswith("a.parquet"), row.source_row, row.broken_line) == (True, 0, None)


def test_files_may_differ_in_their_columns(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(table(id=pa.array([1])), tmp_path / "a.parquet")
    pq.write_table(table(id=pa.array([2])).drop_columns(["note"]).append_column("age", pa.array([7])), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="missing none, unknown age"):
        read(spark, tmp_path)
    rows = sorted(read(spark, tmp_path, drift="add"), key=lambda row: row.id)
    assert [(row.id, row.extra["age"]) for row in rows] == [("1", None), ("2", "7")]


def test_what_is_no_parquet_is_exit_3(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("PAR1 no")
    with pytest.raises(DataError, match="can't be read as Parquet"):
        read(spark, tmp_path / "a.parquet")
