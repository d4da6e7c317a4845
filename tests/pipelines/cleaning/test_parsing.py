"""Text to values: what each type takes, and what it takes for nothing. Expected values are worked out by hand."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.parsing import received_text, value_of
from schemas.contract import Column, Conversion, Table

NEW_YORK = "America/New_York"


def parsed(spark: SparkSession, column: Column, *texts: str | None) -> list[Any]:
    """The values that texts stand for; instants in UTC."""
    table = Table("t", (column,))
    frame = spark.createDataFrame([(n, text) for n, text in enumerate(texts)], f"n int, {column.name} string")
    value = value_of(received_text(column, table), column)
    if column.type == "timestamp":
        value = F.unix_micros(value)
    values = [row.v for row in frame.select("n", value.alias("v")).orderBy("n").collect()]
    if column.type == "timestamp":
        return [v if v is None else datetime.fromtimestamp(v / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] for v in values]
    return values


@pytest.mark.parametrize(
    ("column", "texts", "values"),
    [
        (Column("v", "int"), ("7", " -7 ", "+7", "7.0", "2147483648", "0x1", "7a", "", "NA", None), [7, -7, 7, *[None] * 7]),
        (Column("v", "bigint"), ("2147483648", "9223372036854775808"), [2147483648, None]),
        (Column("v", "double"), ("1.5", "1e3", "1d", "2.0F", "0x1p3", "1,5"), [1.5, 1000.0, None, None, None, None]),
        (Column("v", "boolean"), ("true", "N", "1", "maybe"), [True, False, True, None]),
        (Column("v", "date"), ("2013-02-28", "2013-02-29", "2013", "2013-02-01 or so"), [date(2013, 2, 28), *[None] * 3]),
        (Column("v", "date", format="dd.MM.yyyy"), ("28.02.2013", "2013-02-28"), [date(2013, 2, 28), None]),
        (Column("v", "double", decimal=","), ("1,5", "1.234,5", "1.5", "1,2,3", "12.34,5"), [1.5, 1234.5, *[None] * 3]),
        (Column("v", "int", decimal=","), ("1.234", "12.34"), [1234, None]),
        (Column("v", "string"), ("  a  b ", "NA", "na"), ["a  b", None, "na"]),
        (Column("v", "string", spaces="keep"), (" a ",), [" a "]),
        (Column("v", "string", spaces="collapse"), (" a \t b ",), ["a b"]),
        (Column("v", "string", case="upper", aliases={"N.Y.": "JFK"}), ("n.y.", "ewr"), ["JFK", "EWR"]),
        (Column("v", "string", case="lower"), ("ÄB",), ["äb"]),
        (Column("v", "double", received=Conversion("inch", 25.4, 1)), ("2", "x"), [pytest.approx(51.8), None]),
    ],
)  # fmt: skip
def test_values(spark: SparkSession, column: Column, texts: tuple[str, ...], values: list[Any]) -> None:
    assert parsed(spark, column, *texts) == values


def test_an_instant_names_its_zone_or_is_utc(spark: SparkSession) -> None:
    texts = ("2013-03-10T06:30:00Z", "2013-03-10 01:30:00-05:00", "2013-03-10 06:30", "2013-03-10", "2013-03-10T06:30:00.5Z")
    expected = ["2013-03-10 06:30:00.000"] * 3 + ["2013-03-10 00:00:00.000", "2013-03-10 06:30:00.500"]
    assert parsed(spark, Column("v", "timestamp"), *texts) == expected


@pytest.mark.parametrize("text", ["12:30", "T12:30:00", "2013", "2013-03", "yesterday", "2013-02-30", "2013-03-10 25:00"])
def test_what_is_no_whole_timestamp_is_none(spark: SparkSession, text: str) -> None:
    assert parsed(spark, Column("v", "timestamp"), text) == [None]


@pytest.mark.parametrize(
    ("repeated_hour", "expected"), [("earlier", "2013-11-03 05:30"), ("later", "2013-11-03 06:30"), ("quarantine", None)]
)
def test_the_hour_that_clocks_show_twice(spark: SparkSession, repeated_hour: Any, expected: str | None) -> None:
    column = Column("v", "timestamp", zone=NEW_YORK, repeated_hour=repeated_hour)
    times = parsed(spark, column, "2013-11-03 01:30:00", "2013-11-03 00:59:59", "2013-11-03 02:00:00")
    assert times == [expected and f"{expected}:00.000", "2013-11-03 04:59:59.000", "2013-11-03 07:00:00.000"]


def test_the_hour_that_clocks_skip_is_no_time(spark: SparkSession) -> None:
    times = parsed(spark, Column("v", "timestamp", zone=NEW_YORK), "2013-03-10 02:30:00", "2013-03-10 03:00:00")
    assert times == [None, "2013-03-10 07:00:00.000"]


def test_a_clock_that_is_put_back_by_half_an_hour(spark: SparkSession) -> None:
    column = Column("v", "timestamp", zone="Australia/Lord_Howe", repeated_hour="later")
    assert parsed(spark, column, "2013-04-07 01:45:00") == ["2013-04-06 15:15:00.000"]


def test_a_zone_in_the_text_wins_over_the_columns(spark: SparkSession) -> None:
    column = Column("v", "timestamp", zone=NEW_YORK)
    assert parsed(spark, column, "2013-07-01T12:00:00Z", "2013-07-01 12:00:00") == [
        "2013-07-01 12:00:00.000",
        "2013-07-01 16:00:00.000",
    ]


def test_a_timestamp_may_be_written_otherwise(spark: SparkSession) -> None:
    column = Column("v", "timestamp", format="dd/MM/yyyy HH:mm", zone=NEW_YORK)
    assert parsed(spark, column, "01/07/2013 12:00", "2013-07-01 12:00") == ["2013-07-01 16:00:00.000", None]


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        ("yyyy-MM-dd HH:mm[ XXX]", {"2013-07-01 12:00 +02:00": "10:00", "2013-07-01 12:00": "16:00"}),
        ("yyyy-MM-dd HH:mm['Z']", {"2013-07-01 12:00Z": "12:00", "2013-07-01 12:00": "16:00"}),
        ("yyyy-MM-dd HH:mm[:ss[ X]]", {"2013-07-01 12:00:00 +02": "10:00", "2013-07-01 12:00:00": "16:00"}),
        ("yyyy-MM-dd'T'HH:mm'Z'", {"2013-07-01T12:00Z": "12:00"}),
        ("yyyy-MM-dd 'Zeit' HH:mm", {"2013-07-01 Zeit 12:00": "16:00"}),
        ("yyyy-MM-dd HH:mm VV", {"2013-07-01 12:00 Europe/Paris": "10:00"}),
    ],
)
def test_a_format_may_leave_the_zone_out(spark: SparkSession, written: str, texts: dict[str, str]) -> None:
    column = Column("v", "timestamp", format=written, zone=NEW_YORK)
    assert parsed(spark, column, *texts) == [f"2013-07-01 {clock}:00.000" for clock in texts.values()]
