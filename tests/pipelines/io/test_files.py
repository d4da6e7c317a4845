"""CSV files land as received; a header that does not fit, or no file, is a clear error."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import DataError, ExternalError
from pipelines.io.files import read_csv, version
from schemas.contract import Column, Table

CONTRACT = Table("people", (Column("id", "int"), Column("name", "string")))
Write = Callable[[str, str], str]


def test_text_lands_as_received(spark: SparkSession, write: Write) -> None:
    path = write("a.csv", 'id,name\n1," O""Neil, Pat "\nx,\n')
    rows = read_csv(spark, path, CONTRACT).collect()
    assert [(row.id, row.name) for row in rows] == [("1", ' O"Neil, Pat '), ("x", None)]
    assert {row.broken_line for row in rows} == {None}
    assert rows[0].source_file.startswith("file:")
    assert rows[0].source_file.endswith(path)


def test_a_line_with_too_few_or_too_many_fields_is_kept_whole(spark: SparkSession, write: Write) -> None:
    rows = read_csv(spark, write("a.csv", "id,name\n1,a\n2\n3,b,c\n"), CONTRACT).collect()
    assert [row.broken_line for row in rows] == [None, "2", "3,b,c"]


def test_the_header_may_order_columns_as_it_likes_and_begin_with_a_mark(spark: SparkSession, write: Write) -> None:
    rows = read_csv(spark, write("a.csv", '\ufeff"name",id\na,1\n'), CONTRACT).collect()
    assert [(row.id, row.name) for row in rows] == [("1", "a")]


def test_several_files_are_one_source(spark: SparkSession, write: Write) -> None:
    write("p1.csv", "id,name\n1,a\n")
    pattern = write("p2.csv", "id,name\n2,b\n").replace("p2", "p*")
    assert sorted(row.id for row in read_csv(spark, pattern, CONTRACT).collect()) == ["1", "2"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id", "missing name, unknown none"),
        ("id,name,age", "missing none, unknown age"),
        ("id,nom", "missing name, unknown nom"),
        ("id,name,id", "repeated id"),
    ],
)
def test_a_header_that_does_not_fit_is_exit_3(spark: SparkSession, write: Write, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_csv(spark, write("a.csv", f"{header}\n1,2,3\n"), CONTRACT)
    assert caught.value.exit_code == 3


def test_an_empty_file_is_exit_3(spark: SparkSession, write: Write) -> None:
    with pytest.raises(DataError, match="is empty; expected a header line"):
        read_csv(spark, write("a.csv", ""), CONTRACT)


def test_a_missing_file_is_exit_5(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match=r"source people: no file at .*none\.csv") as caught:
        read_csv(spark, str(tmp_path / "none.csv"), CONTRACT)
    assert caught.value.exit_code == 5


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
