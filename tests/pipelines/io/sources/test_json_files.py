"""JSON lines land member by member; what is no object is kept whole."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from pipelines.config import Interval
from pipelines.io.sources.json_files import JsonFiles
from schemas.contract import Column, Table

CONTRACT = Table("people", (Column("id", "int"), Column("name", "string")))
YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))
Write = Callable[[str, str], str]


def read(spark: SparkSession, path: str, **settings: Any) -> list[Row]:
    """The rows of JSON lines."""
    return JsonFiles(kind="jsonl", path=path, **settings).read(spark, CONTRACT, YEAR).collect()


def test_members_land_as_text(spark: SparkSession, write: Write) -> None:
    text = '{"id": 1, "name": "é \\" ,"}\n\n{"name": {"first": ["a"]}}\n{"id": null, "name": true}\n{}\n'
    rows = read(spark, write("a.jsonl", text))
    assert [(row.id, row.name) for row in rows] == [("1", 'é " ,'), (None, '{"first":["a"]}'), (None, "true"), (None, None)]
    assert {row.broken_line for row in rows} == {None}
    assert rows[0].source_file.endswith("a.jsonl")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": 1', "expected one JSON object"),
        ("[1, 2]", "expected one JSON object"),
        ("7", "expected one JSON object"),
        ('{"id": 1}{"id": 2}', "expected one JSON object"),
        ('{"id": 1}, {"id": 2}', "expected one JSON object"),
        ('{"id": 1} x', "expected one JSON object"),
        ("null", "expected one JSON object"),
        ('{"id": 1, "id": 2}', "expected each name once in an object"),
        ('{"id": "a\0b"}', "received a NUL byte"),
    ],
)
def test_what_is_no_object_is_kept_whole(spark: SparkSession, write: Write, line: str, why: str) -> None:
    rows = read(spark, write("a.jsonl", f'{{"id": 0}}\n{line}\n'))
    assert [row.broken_line for row in rows] == [None, line]
    assert why in rows[1].broken_why
    assert rows[1].id is None or rows[1].broken_line


@pytest.mark.parametrize(("drift", "extra"), [("ignore", None), ("add", {"age": "7"}), ("fail", {"age": "7"})])
def test_members_that_the_contract_does_not_know(spark: SparkSession, write: Write, drift: str, extra: object) -> None:
    rows = read(spark, write("a.jsonl", '{"id": 1, "age": 7}\n{"id": 2}\n'), drift=drift)
    assert [(row.id, row.extra) for row in rows] == [("1", extra), ("2", None)]


def test_a_renamed_member_is_declared(spark: SparkSession, write: Write) -> None:
    rows = read(spark, write("a.jsonl", '{"ID": 1}\n{"id": 2}\n'), rename={"ID": "id"})
    assert [(row.id, row.extra) for row in rows] == [("1", None), ("2", None)]
