"""CSV lands as received; what is no row is kept whole, with its place and the reason; headers drift as they may."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from pipelines.config import Interval
from pipelines.errors import ConfigError, DataError
from pipelines.io.sources.csv_files import CsvFiles
from schemas.contract import Column, Table

CONTRACT = Table("people", (Column("id", "int", nullable=False), Column("name", "string")))
YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))
Write = Callable[[str, str], str]


def read(spark: SparkSession, path: str, **settings: Any) -> list[Row]:
    """The rows of CSV files."""
    return CsvFiles(kind="csv", path=path, **settings).read(spark, CONTRACT, YEAR).collect()


def values(rows: list[Row]) -> list[tuple[str | None, str | None]]:
    """Their two columns."""
    return [(row.id, row.name) for row in rows]


def test_text_lands_as_received(spark: SparkSession, write: Write) -> None:
    path = write("a.csv", 'id,name\n1," O""Neil, Pat "\nx,\n\n  \n')
    rows = read(spark, path)
    assert values(rows) == [("1", ' O"Neil, Pat '), ("x", None)]
    assert {row.broken_line for row in rows} == {None}
    assert {row.extra for row in rows} == {None}
    assert rows[0].source_file == f"file:{path}"
    assert (rows[0].source_block, rows[1].source_row - rows[0].source_row) == (0, 1)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"2", "expected 2 fields, received another number"),
        (b"3,b,c", "expected 2 fields, received another number"),
        (b'4,"b', "expected quotes in pairs, received an odd number"),
        (b'5",b', "expected quotes in pairs"),
        (b"6,a\0b", "expected text, received a NUL byte"),
    ],
)
def test_what_is_no_row_is_kept_whole_with_the_reason(spark: SparkSession, tmp_path: Path, line: bytes, why: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n1,a\n" + line + b"\n9,z\n")
    rows = read(spark, str(tmp_path / "a.csv"))
    assert [row.broken_line for row in rows] == [None, line.decode(), None]
    assert why in rows[1].broken_why
    assert values([rows[0], rows[2]]) == [("1", "a"), ("9", "z")]


def test_bytes_that_are_no_utf8_are_kept_as_digits(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n1,caf\xe9\n")
    rows = read(spark, str(tmp_path / "a.csv"))
    assert (rows[0].broken_line, "expected UTF-8 text" in rows[0].broken_why) == ("\\x312C636166E9", True)


@pytest.mark.parametrize(
    ("encoding", "raw", "text"),
    [
        ("iso-8859-1", b"caf\xe9 \x80", "café \x80"),
        ("windows-1252", b"caf\xe9 \x80\x9f", "café €Ÿ"),
        ("windows-1252", b"\x81", "\x81"),
    ],
)
def test_other_encodings_are_declared(spark: SparkSession, tmp_path: Path, encoding: str, raw: bytes, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n1," + raw + b"\n")
    assert values(read(spark, str(tmp_path / "a.csv"), encoding=encoding)) == [("1", text)]


def test_lines_may_end_as_on_windows_and_begin_with_a_mark(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf"name",id\r\na,1\r\n')
    assert values(read(spark, str(tmp_path / "a.csv"))) == [("1", "a")]


def test_utf16_is_refused_with_the_way_out(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,a\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"is UTF-16; expected utf-8\. Convert it: iconv"):
        read(spark, str(tmp_path / "a.csv"))


def test_files_may_each_order_their_columns(spark: SparkSession, write: Write) -> None:
    write("p1.csv", "id,name\n1,a\n")
    pattern = write("p2.csv", "name,id\nb,2\n").replace("p2", "p*")
    assert sorted(values(read(spark, pattern))) == [("1", "a"), ("2", "b")]


def test_a_header_within_a_file_is_no_row(spark: SparkSession, write: Write) -> None:
    assert values(read(spark, write("a.csv", "id,name\n1,a\nid,name\n2,b\n"))) == [("1", "a"), ("2", "b")]


def test_files_without_a_header_have_the_contracts_columns(spark: SparkSession, write: Write) -> None:
    assert values(read(spark, write("a.csv", "1;a\n2;b\n"), header=False, separator=";")) == [("1", "a"), ("2", "b")]


def test_a_record_may_span_lines_where_that_is_declared(spark: SparkSession, write: Write) -> None:
    path = write("a.csv", 'id,name\n1,"two\nlines"\n2,b,c\n')
    rows = read(spark, path, multiline=True)
    assert values(rows[:1]) == [("1", "two\nlines")]
    assert (rows[1].broken_line, rows[1].broken_why[:24]) == ("2,b,c", "line: expected 2 fields,")
    assert [row.broken_why is None for row in read(spark, path)] == [False, False, False]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id", "missing name, unknown none"),
        ("id,name,age", "missing none, unknown age"),
        ("id,nom", "missing name, unknown nom"),
        ("ID,Name", r"missing id, name, unknown ID, Name, .*set sources\.people\.rename to {ID: id, Name: name}, or \.drift"),
        ("id,name,id", "repeated id"),
        ('id,"name', "the header of .* can't be read"),
    ],
)
def test_a_header_that_does_not_fit_is_exit_3(spark: SparkSession, write: Write, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(spark, write("a.csv", f"{header}\n1,2,3\n"))
    assert caught.value.exit_code == 3


def test_drift_may_be_ignored(spark: SparkSession, write: Write) -> None:
    rows = read(spark, write("a.csv", "age,id\n7,1\n"), drift="ignore")
    assert (values(rows), rows[0].extra) == ([("1", None)], None)


def test_drift_may_be_added(spark: SparkSession, write: Write) -> None:
    rows = read(spark, write("a.csv", "age,id,town\n7,1,\n"), drift="add")
    assert (values(rows), rows[0].extra) == ([("1", None)], {"age": "7", "town": None})


@pytest.mark.parametrize("drift", ["ignore", "add"])
def test_a_required_column_may_not_drift_away(spark: SparkSession, write: Write, drift: str) -> None:
    with pytest.raises(DataError, match=r"missing id, unknown none.*set sources\.people\.rename, or \.drift"):
        read(spark, write("a.csv", "name\na\n"), drift=drift)


def test_a_renamed_column_is_declared(spark: SparkSession, write: Write) -> None:
    path = write("a.csv", "ID,Full Name\n1,a\n")
    assert values(read(spark, path, rename={"ID": "id", "Full Name": "name"})) == [("1", "a")]
    with pytest.raises(ConfigError, match=r"sources\.people\.rename: unknown column nom; expected one of id, name"):
        read(spark, path, rename={"Full Name": "nom"})
