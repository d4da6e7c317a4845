"""SQLite: each value lands as it is stored, whatever its column declares; times depend on no machine's zone."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from pipelines.cleaning.parsing import received_text, value_of
from pipelines.errors import ConfigError, DataError, ExternalError
from pipelines.io.sources.base import Source
from schemas.contract import Column, Table
from tests.databases import PAIRS, YEAR, ids_of, java_in, landed, source, texts

Create = Callable[..., Source]


@pytest.fixture
def create(tmp_path: Path) -> Create:
    """Creates the table `pairs` in a file and returns a source over it: `create("id int, name", [(1, "a")], connections=3)`."""

    def _create(columns: str, rows: Sequence[tuple[Any, ...]], *more: str, table: str = "pairs", **settings: Any) -> Source:
        with sqlite3.connect(tmp_path / "some.db") as database:
            database.executescript(";".join([*more[:1], f"create table pairs ({columns})"]))
            for row in rows:
                database.execute(f"insert into pairs values ({', '.join('?' * len(row))})", row)
            database.executescript(";".join(more[1:]))
        return source(f"jdbc:sqlite:{tmp_path / 'some.db'}", table, **settings)

    return _create


def column(rows: list[Row], name: str) -> list[str | None]:
    """The values of a column, by id."""
    return [row[name] for row in sorted(rows, key=lambda row: int(row.id))]


def test_values_land_by_their_own_type_whatever_the_column_declares(spark: SparkSession, create: Create) -> None:
    values = [
        5, "N/A", 2.75, None, "", 1577836800000, -(2**63), 2**63 - 1, 3.0, b"\x00\xff", " Ä,\n𝄞 ", "007", 1e300,
        "12345678901234567890",
    ]  # fmt: skip
    expected = [
        "5", "N/A", "2.75", None, "", "1577836800000", "-9223372036854775808", "9223372036854775807", "3", "\\x00FF", " Ä,\n𝄞 ",
        "7", "1.0e+300", "1.23456789012346e+19",
    ]  # fmt: skip
    expected_texts = [*expected[:8], "3.0", *expected[9:11], "007", "1.0e+300", "12345678901234567890"]
    rows = landed(
        create("id integer primary key, i integer, t text, n, d datetime", [(at, v, v, v, v) for at, v in enumerate(values)]),
        spark,
        texts("id", "i", "t", "n", "d"),
    )
    expected[-1] = "1.2345678901234567e+19"  # INTEGER affinity makes a real of it, which is this one
    assert column(rows, "i") == expected
    assert column(rows, "d") == expected
    assert column(rows, "n") == expected_texts
    assert column(rows, "t")[:9] == [
        *expected_texts[:2],
        "2.75",
        None,
        "",
        "1577836800000",
        expected_texts[6],
        expected_texts[7],
        "3.0",
    ]


def test_numbers_with_a_fraction_read_back_as_the_same_number(spark: SparkSession, create: Create) -> None:
    chance = random.Random(7)
    numbers = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, 2**53 + 2.0, float("inf"), 1e23, -0.7]
    drawn = [struct.unpack("d", chance.randbytes(8))[0] for _ in range(6000)]
    numbers += [number for number in drawn if 1e-80 < abs(number) < 1e100] + [chance.gauss(0, 1000) for _ in range(3000)]
    # SQLite's own arithmetic is not exact beyond.
    extremes = [number for number in drawn if abs(number) >= 1e100 or abs(number) < 1e-80]
    rows = landed(create("id integer primary key, name real", list(enumerate([*numbers, *extremes]))), spark)
    received = [float(str(text)) for text in column(rows, "name")]
    assert received[: len(numbers)] == numbers
    assert received[len(numbers) :] == pytest.approx(extremes, rel=1e-15, abs=0)
    assert column(rows, "name")[0] == "0.30000000000000004"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_times_land_as_they_are_written_and_are_in_their_columns_zone(spark: SparkSession, create: Create, zone: str) -> None:
    time = "2020-03-08 02:30:00.000"  # a time that clocks in New York skip, and those in UTC do not
    rows = [("1", time, "2020-01-02 03:04:05", "2020-01-02T03:04:05.25+02:00", "2020-01-02")]
    contract = Table(
        "pairs",
        (
            Column("id", "int"),
            Column("t", "timestamp"),
            Column("u", "timestamp", zone="America/New_York"),
            Column("v", "timestamp", zone="America/New_York"),
            Column("w", "date"),
        ),
    )
    pairs = create("id text, t timestamp, u timestamp, v datetime, w date", rows)
    with java_in(spark, zone), pairs.reading(spark, contract, YEAR) as frame:
        values = [value_of(received_text(part, contract), part).cast("string").alias(part.name) for part in contract.columns]
        [texts_], [values_] = frame.collect(), frame.select(*values).collect()
    assert tuple(texts_[:5]) == rows[0]
    assert tuple(values_) == ("1", "2020-03-08 02:30:00", "2020-01-02 08:04:05", "2020-01-02 01:04:05.25", "2020-01-02")


def test_bytes_that_are_no_text_are_a_row_that_is_kept_whole(spark: SparkSession, create: Create) -> None:
    pairs = create("id int, name text", [(1, "a")], "", "insert into pairs values (2, cast(x'41ff' as text))")
    good, bad = sorted(landed(pairs, spark), key=lambda row: int(row.id))
    assert (good.name, good.broken_line, good.broken_why) == ("a", None, None)
    assert bad.broken_line == '{"id":"2","name":"\\\\x41FF"}'
    assert bad.broken_why == "name: expected UTF-8 text, received bytes that are not UTF-8, kept here as hexadecimal digits"


def test_a_database_in_utf_16_gives_the_same_text(spark: SparkSession, create: Create) -> None:
    pairs = create("id int, name text", [(1, "Ä𝄞"), (2, 0.1)], "pragma encoding = 'UTF-16le'")
    assert column(landed(pairs, spark), "name") == ["Ä𝄞", "0.1"]


def test_each_row_is_read_once_whatever_its_key(spark: SparkSession, create: Create, tmp_path: Path) -> None:
    rows = [(None if at % 3 else f"key {at}", at) for at in range(1, 101)]
    pairs = create("name int primary key, id integer", rows, "", "create view seen as select * from pairs", connections=3)
    with pairs.reading(spark, PAIRS, YEAR) as frame:
        assert (frame.rdd.getNumPartitions(), ids_of(frame.collect())) == (3, list(range(1, 101)))
    url = f"jdbc:sqlite:{tmp_path / 'some.db'}"
    with sqlite3.connect(tmp_path / "some.db") as database:
        database.execute("create table plain (id int primary key, name text) without rowid")
        database.execute("insert into plain select id, name from pairs")
        database.execute("create table named (id int, name text, rowid int, oid int)")
        database.execute("insert into named select id, name, 1, null from pairs")
    for table, parts in (("seen", 1), ("plain", 1), ("named", 2)):
        with source(url, table, drift="ignore").reading(spark, PAIRS, YEAR) as frame:
            assert (table, frame.rdd.getNumPartitions(), ids_of(frame.collect())) == (table, parts, list(range(1, 101)))


@pytest.mark.parametrize(("zone", "expected"), [(None, [2, 3, 5, 6, 11]), ("America/New_York", [1, 2, 5, 6, 10, 11])])
def test_a_watermark_is_a_time_however_it_is_written(
    spark: SparkSession, create: Create, zone: str | None, expected: list[int]
) -> None:
    rows = [
        (1, "2012-12-31 23:59:59.999"),
        (2, "2013-01-01"),
        (3, "2013-12-31T23:59:59.9999"),
        (4, "2014-01-01T00:00"),
        (5, "2013-12-31 23:30:00-00:15"),
        (6, "2013-01-01T01:00:00+01:00"),
        (7, "2013-12-31T23:30:00-00:30"),
        (8, "2013-01-01T00:30:00+01:00"),
        (9, None),
        (10, "2013-01-00 12:00"),
        (11, "2013-02-30 12:00"),
    ]
    contract = Table("pairs", (Column("id", "int"), Column("name", "timestamp", zone=zone)))
    assert ids_of(landed(create("id int, name datetime", rows, watermark="name"), spark, contract)) == expected


@pytest.mark.parametrize("value", [1357016400, 2456293.5, "now", "01/02/2013", ""])
def test_a_watermark_that_is_no_time_is_an_error(spark: SparkSession, create: Create, value: object) -> None:
    pairs = create("id int, name", [(1, "2013-01-01"), (2, value)], watermark="name")
    with pytest.raises(DataError, match=r"watermark name holds .*; expected times in text that SQLite reads, such as 2013-01"):
        landed(pairs, spark)


def test_a_watermark_that_is_no_column_is_exit_2(spark: SparkSession, create: Create) -> None:
    with pytest.raises(ConfigError, match=r"sources\.pairs\.watermark: .*pairs has no column 'at'; expected one of id, name"):
        landed(create("id int, name text", [(1, "a")], watermark="at"), spark)


def test_a_relative_path_is_the_drivers_and_a_missing_file_is_not_created(
    spark: SparkSession, create: Create, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create("id int, name text", [(1, "a")])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    [row] = landed(source("jdbc:sqlite:../some.db?date_class=text", "pairs"), spark)
    assert (row.id, row.source_file) == ("1", f"jdbc:sqlite:{tmp_path}/elsewhere/../some.db pairs")
    (tmp_path / "elsewhere" / "text.db").write_text("this is no database " * 100)
    for path, message in (
        ("none.db", r"there is no such file, or it can't be opened \(.*\); expected .* Fix sources\.pairs\.url"),
        ("text.db", r"the file holds no database that can be read"),
        ("../some.db", r"source pairs: jdbc:sqlite:/.* nothing: there is no such table .* Fix sources\.pairs\.table"),
    ):
        with pytest.raises(ExternalError, match=message) as caught:
            landed(source(f"jdbc:sqlite:{path}", "nothing"), spark)
        assert "password" not in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["text.db"]
