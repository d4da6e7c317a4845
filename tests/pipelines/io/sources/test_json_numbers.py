"""Numbers of JSON land digit by digit, at any depth; arrays of objects are files of rows; no member is lost to another."""

import json
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.io.sources.json_files import parse_json
from schemas.contract import Column, Table
from tests.pipelines.io.sources.test_json_files import Write, read

VALUES = Table("values", (Column("v", "string"), Column("w", "string")))
DIGITS = "123456789012345678901234567890.10"


def landed(spark: SparkSession, *lines: str) -> list[Row]:
    """What lands of JSON objects with the members v, w and others."""
    frame = spark.createDataFrame(list(enumerate(lines)), "row bigint, line string").coalesce(1)
    nothing = F.lit(0)
    return parse_json(frame, VALUES, {}, "add", F.lit("x"), nothing, F.col("row")).collect()


def test_numbers_land_as_they_are_written(spark: SparkSession) -> None:
    numbers = [
        "1.10",
        "-0",
        "-0.0",
        "1e400",
        "1E+2",
        DIGITS,
        "0.1234567890123456789012345",
        "7",
        "NaN",
        "Infinity",
        "-Infinity",
    ]
    rows = landed(spark, *(f'{{"v": {number}, "w": "{number}", "x": {number}}}' for number in numbers))
    assert [(row.v, row.w, row.extra) for row in rows] == [(n, n, {"x": n}) for n in numbers]


def test_numbers_within_values_land_as_they_are_written(spark: SparkSession) -> None:
    nested = f'{{"a": [1.10, NaN, {{"b": {DIGITS}, "c": -Infinity}}], "d": "1.50, NaN: [2.0]", "e": "\\\\", "f": [3.0, -0]}}'
    compact = f'{{"a":[1.10,NaN,{{"b":{DIGITS},"c":-Infinity}}],"d":"1.50, NaN: [2.0]","e":"\\\\","f":[3.0,-0]}}'
    row = landed(spark, f'{{"v": {nested}, "w": "x \\" 1.5", "x": [0.10]}}')[0]
    assert (row.v, row.w, row.extra) == (compact, 'x " 1.5', {"x": "[0.10]"})


def test_what_python_writes_reads_back(spark: SparkSession) -> None:
    values = [float("nan"), float("inf"), -float("inf"), 0.1 + 0.2, 5e-324, 1e22, -0.0]
    rows = landed(spark, *(json.dumps({"v": value, "w": [value]}) for value in values))
    assert [row.v for row in rows] == [json.dumps(value) for value in values]
    assert [row.w for row in rows] == [f"[{json.dumps(value)}]" for value in values]


def test_what_is_no_number_stays_none(spark: SparkSession) -> None:
    lines = [f'{{"v": {n}}}' for n in ("01.5", "1.", ".5", "1.5.2", "+1.5", "1.5e", "NaNs", "-NaN", "1.5x", "0x1.5")]
    assert [(row.v, row.broken_line) for row in landed(spark, *lines)] == [(None, line) for line in lines]


def test_a_name_that_comes_twice_is_no_row(spark: SparkSession, write: Write) -> None:
    path = write(
        "a.jsonl", '{"id": 1, "id": 1}\n{"ID": 1, "id": 2}\n{"\\u0069d": 1.5, "id": 2}\n{"name": {"a": 1.50, "a": 2}}\n'
    )
    rows = read(spark, path, drift="ignore", rename={"ID": "id"})
    assert ["one twice" in (row.broken_why or "") for row in rows] == [True, False, True, False]
    assert rows[1].broken_why == "line: expected id once in an object, received it as ID and as id"
    assert rows[3].name == '{"a":1.50,"a":2}'


@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_may_be_an_array(spark: SparkSession, write: Write, indent: int | None) -> None:
    objects = [{"id": number, "name": ["a}", {"b": 1.5}]} for number in range(300)]
    rows = read(spark, write("a.json", json.dumps([*objects, 7], indent=indent)))
    assert [(row.id, row.name) for row in rows[:300]] == [(str(number), '["a}",{"b":1.5}]') for number in range(300)]
    assert (rows[300].broken_line, rows[300].broken_why) == ("7", "line: expected one JSON object")
    assert [row.source_row for row in rows] == list(range(301))


def test_arrays_and_lines_lie_side_by_side(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "name=x").mkdir()
    (tmp_path / "a.json").write_text('\ufeff[{"id": 1}, {"id": 2')
    (tmp_path / "name=x" / "b.jsonl").write_text('\ufeff{"id": 3}\n\ufeff{"id": 4, "name": "y"}\n{')
    rows = read(spark, tmp_path.as_posix())
    assert sorted((row.id, row.name) for row in rows if row.id) == [("1", None), ("3", "x"), ("4", "y")]
    assert sorted((row.broken_line, row.broken_why, row.name) for row in rows if row.broken_why) == [
        ("{", "line: expected one JSON object", None),
        ('{"id": 2', "line: expected ] at the end of the array, received the end of the file", None),
    ]


def test_json_in_utf16_is_exit_3(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes('[{"id": 1}]'.encode("utf-16"))
    with pytest.raises(DataError, match=r"a\.json is UTF-16; expected UTF-8"):
        read(spark, str(tmp_path / "a.json"))
