"""Parquet as pandas writes it: nanoseconds, times of day, columns without values, files that differ, values in folders."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Row, SparkSession

from pipelines.errors import DataError
from pipelines.io.sources.parquet_files import ParquetFiles
from schemas.contract import Column, Table
from tests.pipelines.io.sources.test_parquet_files import YEAR


def read(spark: SparkSession, path: Path, *names: str, **settings: Any) -> list[Row]:
    """The rows of Parquet files whose contract has columns of these names."""
    contract = Table("people", tuple(Column(name, "string") for name in names))
    rows = ParquetFiles(kind="parquet", path=str(path), **settings).read(spark, contract, YEAR).collect()
    return sorted(rows, key=lambda row: row.source_file)


def test_times_as_pandas_writes_them(spark: SparkSession, tmp_path: Path) -> None:
    before = pd.Timestamp("1969-12-31 23:59:59.999999999")
    frame = pd.DataFrame(
        {
            "local": [pd.Timestamp("2020-01-01 10:00:00.123456789"), before, pd.NaT],
            "instant": [pd.Timestamp("2020-07-01 10:00:00.5", tz="America/New_York"), before.tz_localize("UTC"), pd.NaT],
            "time": [dt.time(1, 2, 3, 4), dt.time(23, 59), None],
            "id": [1, 2, 3],
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    rows = read(spark, tmp_path, "local", "instant", "time", "id")
    assert [(row.local, row.instant, row.time, row.id) for row in rows] == [
        ("2020-01-01 10:00:00.123456", "2020-07-01T14:00:00.500000Z", "01:02:03.000004", "1"),
        ("1969-12-31 23:59:59.999999", "1969-12-31T23:59:59.999999Z", "23:59:00.000000", "2"),
        (None, None, None, "3"),
    ]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_day_in_every_unit(spark: SparkSession, tmp_path: Path, unit: str) -> None:
    kind = pa.time32(unit) if unit == "ms" else pa.time64(unit)
    pq.write_table(pa.table({"a b": pa.array([dt.time(23, 0, 1, 2000)], kind)}), tmp_path / "a.parquet")
    assert read(spark, tmp_path, "a b")[0]["a b"] == "23:00:01.002000"


def test_the_type_of_a_column_may_differ_between_files(spark: SparkSession, tmp_path: Path) -> None:
    at = [dt.datetime(2020, 1, 1)]
    columns = {
        "1": pa.nulls(1), "2": pa.array([7]), "3": pa.array([2.5]), "4": pa.array(["b"]), "5": pa.array([7], pa.int32()),
        "6": pa.array(at, pa.timestamp("ns")), "7": pa.array([Decimal("1.10")]), "8": pa.array([[1]]),
        "9": pa.array([2**64 - 1], pa.uint64()),
    }  # fmt: skip
    for name, values in columns.items():
        pq.write_table(pa.table({"id": [name], "x": values}), tmp_path / f"{name}.parquet")
    assert [(row.id, row.x) for row in read(spark, tmp_path, "id", "x")] == [
        ("1", None), ("2", "7"), ("3", "2.5"), ("4", "b"), ("5", "7"), ("6", "2020-01-01 00:00:00"), ("7", "1.10"),
        ("8", "[1]"), ("9", "18446744073709551615"),
    ]  # fmt: skip


def test_a_column_may_have_the_name_of_sparks_metadata(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"_metadata": ["m"], "x.y": ["a"]}), tmp_path / "a:b.parquet")
    row = read(spark, tmp_path, "_metadata", "x.y")[0]
    assert (row["_metadata"], row["x.y"], row.source_file, row.source_row) == ("m", "a", f"file:{tmp_path}/a:b.parquet", 0)


def test_folders_give_columns_that_the_contract_has(spark: SparkSession, tmp_path: Path) -> None:
    for folder in ("day=2013-01-01/zone=a%2Fb", "day=__HIVE_DEFAULT_PARTITION__/zone=c"):
        (tmp_path / folder).mkdir(parents=True)
        pq.write_table(pa.table({"id": [1]}), tmp_path / folder / "p.parquet")
    rows = read(spark, tmp_path, "id", "day", "area", rename={"zone": "area"})
    assert [(row.id, row.day, row.area) for row in rows] == [("1", "2013-01-01", "a/b"), ("1", None, "c")]
    assert [row.id for row in read(spark, tmp_path, "id")] == ["1", "1"]
    pq.write_table(pa.table({"id": [1], "day": ["own"]}), tmp_path / "day=2013-01-01" / "q.parquet")
    assert [row.day for row in read(spark, tmp_path / "day=2013-01-01" / "q.parquet", "id", "day")] == ["own"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([Decimal(1)], pa.decimal256(60, 2)), r"column x of file:.*a\.parquet holds DECIMAL\(60,2\); expected a type"),
        (pa.array([[dt.time(1)]]), r"column x of .* holds TIME\(MICROS,false\); .*a time that is no part of a list or struct"),
    ],
)  # fmt: skip
def test_a_type_that_spark_does_not_read_is_named(spark: SparkSession, tmp_path: Path, values: pa.Array, message: str) -> None:
    pq.write_table(pa.table({"x": values}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        read(spark, tmp_path, "x")


def test_columns_that_differ_in_case_alone_are_named(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["1"], "A": ["2"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"columns a, A of .* differ in case alone"):
        read(spark, tmp_path, "a", "A")


def test_what_is_no_parquet_is_named_without_a_word_of_java(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else of it")
    with pytest.raises(DataError, match=r"a\.parquet can't be read as Parquet") as caught:
        read(spark, tmp_path, "x")
    assert not [word for word in ("Exception", "org.", "java.", "\n") if word in str(caught.value)]
