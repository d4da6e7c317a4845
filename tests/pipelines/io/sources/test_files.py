"""Which files a source is, whether they have changed, and what is said of those that can't be read."""

import gzip
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import SparkSession

from pipelines.config import Interval
from pipelines.errors import DataError, ExternalError
from pipelines.io.sources.csv_files import CsvFiles
from pipelines.io.sources.file_heads import over_heads
from pipelines.io.sources.file_names import list_files
from schemas.contract import Column, Table

CONTRACT = Table("people", (Column("id", "int"), Column("name", "string")))
YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))
Write = Callable[[str, str], str]


def version(spark: SparkSession, path: str) -> str:
    """The version of the CSV files at a path."""
    return CsvFiles(kind="csv", path=path).version(spark, CONTRACT, YEAR)


def test_a_version_changes_with_the_files(spark: SparkSession, write: Write) -> None:
    path = write("a1.csv", "id,name\n")
    before = version(spark, path)
    assert version(spark, path) == before != ""
    write("a1.csv", "id,name\n1,a\n")
    assert version(spark, path) != before
    pattern, folder = path.replace("a1", "a*"), path.removesuffix("a1.csv")
    one, whole = version(spark, pattern), version(spark, folder)
    write("a2.csv", "id,name\n")
    assert version(spark, pattern) != one
    assert version(spark, folder) != whole
    assert version(spark, "/nowhere/*.csv") == ""


def test_folders_are_read_to_the_bottom_without_hidden_files(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("b.csv", "deep/er/a.csv", "_SUCCESS", ".hidden", "_tmp/c.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    paths = [
        Path(file.path.removeprefix("file:")).relative_to(tmp_path).as_posix() for file in list_files(spark, str(tmp_path))
    ]
    assert paths == ["b.csv", "deep/er/a.csv"]


def test_a_path_may_depend_on_the_interval(spark: SparkSession, write: Write) -> None:
    path = write("2013-02.csv", "id,name\n2,feb\n").replace("2013-02", "{from:%Y-%m}")
    write("2013-03.csv", "id,name\n3,mar\n")
    source = CsvFiles(kind="csv", path=path, every="month")
    zone = ZoneInfo("America/New_York")
    february = Interval(start=datetime(2013, 2, 1, tzinfo=zone), end=datetime(2013, 3, 1, tzinfo=zone))
    assert source.sliced
    assert [row.name for row in source.read(spark, CONTRACT, february).collect()] == ["feb"]
    assert not CsvFiles(kind="csv", path="a/{b,c}/*.csv").sliced


def test_a_missing_file_is_exit_5(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match=r"source people: no file at .*none\.csv") as caught:
        CsvFiles(kind="csv", path=str(tmp_path / "none.csv")).read(spark, CONTRACT, YEAR)
    assert caught.value.exit_code == 5


def test_an_empty_file_is_exit_3(spark: SparkSession, write: Write) -> None:
    with pytest.raises(DataError, match="is empty; expected rows"):
        CsvFiles(kind="csv", path=write("a.csv", "")).read(spark, CONTRACT, YEAR)


def first_filled_line(pieces: Iterable[bytes]) -> bytes:
    """The first line that is not blank, without its end; empty where there is none."""
    rest = b""
    for piece in pieces:
        *lines, rest = re.split(rb"\r\n|\n", rest + piece)
        if filled := [line for line in lines if line.strip()]:
            return filled[0]
    return rest


def test_the_first_line_is_found_behind_blank_ones_and_when_it_is_long(spark: SparkSession, tmp_path: Path) -> None:
    long = b"x" * 200_000
    for name, content in {"a": b"\r\n\r\n id \r\n1", "b": long + b"\nrest", "c": b"\n \n", "d": b"only"}.items():
        (tmp_path / name).write_bytes(content)
    files = [str(tmp_path / name) for name in "abcd"]
    assert over_heads(spark, files, "people", first_filled_line) == [b" id ", long, b"", b"only"]


def test_a_file_that_is_not_what_its_name_says_is_exit_3(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_text("id,name\n1,a\n")
    with pytest.raises(DataError, match=r"a\.csv\.gz can't be read .*Is it whole, and compressed as its name says"):
        CsvFiles(kind="csv", path=str(tmp_path / "a.csv.gz")).read(spark, CONTRACT, YEAR)


def test_gzip_is_unpacked(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"id,name\n1,a\n"))
    rows = CsvFiles(kind="csv", path=str(tmp_path / "a.csv.gz")).read(spark, CONTRACT, YEAR).collect()
    assert [(row.id, row.name) for row in rows] == [("1", "a")]


def test_odd_letters_in_names_are_no_patterns(spark: SparkSession, write: Write) -> None:
    path = write("a[1]{b} ?.csv", "id,name\n1,a\n")
    rows = CsvFiles(kind="csv", path=str(Path(path).parent)).read(spark, CONTRACT, YEAR).collect()
    assert [row.id for row in rows] == ["1"]
