"""Files as people really have them: what they hold lands, or the error names what is wrong with them."""

from __future__ import annotations

import gzip
import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

from pipelines.config import SourceSection
from pipelines.errors import DataError, ExternalError
from pipelines.io.sources.file_kinds import KINDS, check_is_text
from pipelines.io.sources.kinds import make_source
from schemas.contract import Column, Table
from tests.pipelines.io.sources.test_parquet_files import YEAR

X = Table("people", (Column("x", "string"),))
HALF = "received half of a pair"


def read(spark: SparkSession, kind: str, path: Path, *names: str, **settings: Any) -> list[Row]:
    """The rows that a source of files gives to a contract of text columns, in the files' order."""
    contract = Table("people", tuple(Column(name, "string") for name in names or ("id", "name")))
    source = make_source("people", SourceSection(kind=kind, path=str(path), **settings))
    return source.read(spark, contract, YEAR).orderBy("source_file", "source_block", "source_row").collect()


def write_file(path: Path, content: bytes | str) -> Path:
    """A file with this content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("multiline", [False, True])
def test_a_file_that_was_saved_twice_begins_with_two_marks(spark: SparkSession, tmp_path: Path, multiline: bool) -> None:
    path = write_file(tmp_path / "a.csv", b'\xef\xbb\xbf\xef\xbb\xbf"id",name\n1,a\n')
    assert [(row.id, row.name) for row in read(spark, "csv", path, multiline=multiline)] == [("1", "a")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id;name\n1;a\n", r"expected fields separated by ',', received 'id;name'\. Set sources\.people\.separator to ';'"),
        (b'"name"\t"id"\n', r"separator to '\\t'"),
        ("id,name\n1,a\n".encode("utf-16-le"), "received NUL bytes, as in UTF-16 without a byte-order mark"),
        (gzip.compress(b"id,name\n1,a\n", mtime=0), r"is compressed by gzip; expected text\. Name it \.gz"),
    ],
    ids=["separator", "tab", "utf-16", "gzip"],
)
def test_a_file_of_another_form_is_named(spark: SparkSession, tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(spark, "csv", write_file(tmp_path / "a.csv", content))


def test_files_of_other_kinds_are_no_text() -> None:
    for start, kind, _ in KINDS:
        with pytest.raises(DataError, match=f"^source s: f is {kind}; expected text"):
            check_is_text(start + b"...", "f", "s")
    for text in (b"", b"id,name\n", b"PAR1,PAR2\n", b"BZh9,x", b"Obj,x", b"\xef\xbb\xbfid"):
        check_is_text(text, "f", "s")


def test_json_values_that_java_would_change_are_refused_or_kept(spark: SparkSession, tmp_path: Path) -> None:
    lines = {
        r'{"id": "\ud800"}': HALF,
        r'{"id": {"x": ["a\uDFFFb"]}}': HALF,
        r'{"id": 1, "\ud83d": 2}': HALF,
        r'{"id": "\ude00\ud83d"}': HALF,
        r'{"id": "\ud83d\ude00"}': "😀",
        r'{"id": "\\ud800"}': r"\ud800",
        "{'id': '1.5 of 2.50', 'name': 3.10}": "1.5 of 2.50",
        "\t": None,
        '{"id": "it\'s 1.50"}': "it's 1.50",
    }
    rows = read(spark, "jsonl", write_file(tmp_path / "a.json", "\n".join(lines)), drift="add")
    received = [row.id if row.broken_why is None else HALF for row in rows]
    assert received == [expected for expected in lines.values() if expected]
    assert all(HALF in row.broken_why for row in rows[:4])
    assert rows[6].name == "3.10"


def test_parquet_columns_of_unusual_types(spark: SparkSession, tmp_path: Path) -> None:
    some = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    moment = datetime(2020, 1, 1, 10, 0, 0, 123456)
    bad = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 3], np.int32).tobytes()), pa.py_buffer(b"a\xff\xfe")]
    )
    table = pa.table(
        {
            "u": pa.array([some.bytes, None], pa.uuid()),
            "nested": pa.array([[moment], None], pa.list_(pa.timestamp("us"))),
            "instants": pa.array([{"at": moment}, None], pa.struct([("at", pa.timestamp("us", "UTC"))])),
            "text": bad,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = read(spark, "parquet", tmp_path / "a.parquet", *table.column_names)
    assert (first.u, first.text) == (str(some), "a")
    assert json.loads(first.nested) == ["2020-01-01T10:00:00.123456"]
    assert json.loads(first.instants) == {"at": "2020-01-01T10:00:00.123456Z"}
    assert (second.broken_line, second.broken_why[:24]) == ('{"text":"\\\\xFFFE"}', "text: expected UTF-8 tex")


def test_a_column_without_values_does_not_give_its_type_to_others(spark: SparkSession, tmp_path: Path) -> None:
    columns = [pa.array([2**40]), pa.nulls(1), pa.array([1.5]), pa.nulls(1), pa.array(["a"])]
    for number, column in enumerate(columns):
        pq.write_table(pa.table({"x": column}), tmp_path / f"{number}.parquet")
    assert [row.x for row in read(spark, "parquet", tmp_path, "x")] == ["1099511627776", None, "1.5", None, "a"]


def test_parquet_that_spark_can_not_read_is_exit_3(spark: SparkSession, tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    tables = {
        "the column x more than once": (twice, {}),
        "has no columns; expected columns": (pa.table({}), {}),
        r"column y of .* holds FLOAT16; expected a type that Spark reads": (pa.table({"y": np.array([1], np.float16)}), {}),
        r"\(Spark lacks a class that reads it: BrotliCodec\)": (pa.table({"x": ["a"]}), {"compression": "brotli"}),
    }
    for number, (message, (table, options)) in enumerate(tables.items()):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(table, path, **options)
        source = make_source("people", SourceSection(kind="parquet", path=str(path), drift="ignore"))
        with pytest.raises((DataError, PySparkException, Py4JJavaError)) as caught:
            source.read(spark, X, YEAR).collect()
        reported = caught.value if isinstance(caught.value, DataError) else source.explain(caught.value, X)
        assert re.search(message, str(reported)) and "org.apache" not in str(reported)


def test_folders_give_columns_whatever_their_case(spark: SparkSession, tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "Day=2013-01-01" / "a.csv", "id\n1\n")
    assert [(row.id, row.day) for row in read(spark, "csv", tmp_path / "a", "id", "day")] == [("1", "2013-01-01")]
    write_file(tmp_path / "b" / "day=1" / "DAY=2" / "a.json", '{"id": 1}\n')
    with pytest.raises(DataError, match="give the column day twice; expected once"):
        read(spark, "jsonl", tmp_path / "b", "id", "day")


def test_a_folder_that_links_to_itself_is_listed_once(spark: SparkSession, tmp_path: Path) -> None:
    write_file(tmp_path / "in" / "a.csv", "id,name\n1,a\n")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    (tmp_path / "other").mkdir()
    (tmp_path / "in" / "other").symlink_to(tmp_path / "other")
    write_file(tmp_path / "other" / "b.csv", "id,name\n2,b\n")
    assert [row.id for row in read(spark, "csv", tmp_path / "in")] == ["1", "2"]
    with pytest.raises(ExternalError, match=r"no file at /"):
        read(spark, "csv", tmp_path / "none.csv")
