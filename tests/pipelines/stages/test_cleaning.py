"""Every row gets one verdict, every reason is said, and no row is lost."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from pipelines.stages.cleaning import count_verdicts, judge, split_judged
from pipelines.stages.duplicates import VERDICT
from schemas.contract import Column, Rule, Table

START, END = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC)
CONTRACT = Table(
    "visits",
    (
        Column("id", "int", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("share", "double", minimum=0, maximum=1),
        Column("kind", "string", allowed=("a", "b")),
        Column("code", "string", pattern="^[A-Z]{2}$"),
    ),
    key=("id",),
    latest_by=("at",),
    event_time="at",
    rules=(Rule("a b has a share", "kind <> 'b' or share is not null"),),
)
AT = "2013-01-10T08:00:00Z"


def landed(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    """Landed text rows: id, at, share, kind, code, and a broken line where one is given."""
    full = [(*row, "file.csv", None) if len(row) == 5 else (*row[:5], "file.csv", row[5]) for row in rows]
    schema = ", ".join(f"{name} string" for name in (*CONTRACT.column_names, "source_file", "broken_line"))
    return spark.createDataFrame(full, schema)


def verdicts(frame: DataFrame) -> list[str]:
    """The verdicts, in the order of ids."""
    return [row[VERDICT] for row in frame.orderBy("id", "at").collect()]


def test_a_good_row_is_parsed(spark: SparkSession) -> None:
    judged = judge(landed(spark, (" 7 ", AT, "0.5", "a", "XY")), CONTRACT, START, END)
    row = split_judged(judged, CONTRACT).clean.collect()[0]
    assert (row.id, row.share, row.kind, row.code) == (7, 0.5, "a", "XY")


@pytest.mark.parametrize("token", ["", "NA", " NA ", None])
def test_null_tokens_are_missing_values(spark: SparkSession, token: str | None) -> None:
    judged = judge(landed(spark, ("1", AT, token, "a", token)), CONTRACT, START, END)
    row = split_judged(judged, CONTRACT).clean.collect()[0]
    assert row.share is None
    assert row.code is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("x", AT, "0.5", "a", "XY"), "id: expected a value of type int, received 'x'"),
        (("99999999999", AT, "0.5", "a", "XY"), "id: expected a value of type int, received '99999999999'"),
        (("", AT, "0.5", "a", "XY"), "id: expected a value, received nothing"),
        (("1", "yesterday", "0.5", "a", "XY"), "at: expected a value of type timestamp, received 'yesterday'"),
        (("1", AT, "1.5", "a", "XY"), "share: expected at most 1, received '1.5'"),
        (("1", AT, "-0.5", "a", "XY"), "share: expected at least 0, received '-0.5'"),
        (("1", AT, "NaN", "a", "XY"), "share: expected at most 1, received 'NaN'"),
        (("1", AT, "0.5", "c", "XY"), "kind: expected one of a, b, received 'c'"),
        (("1", AT, "0.5", "a", "xy"), "code: expected text like ^[A-Z]{2}$, received 'xy'"),
        (("1", AT, "", "b", "XY"), "rule: a b has a share (kind <> 'b' or share is not null)"),
        (("1", AT, "0.5", None, None, '1,"2'), "line: not as many fields as the header has"),
    ],
)
def test_a_bad_row_is_quarantined_with_the_reason(spark: SparkSession, row: tuple[Any, ...], reason: str) -> None:
    quarantined = split_judged(judge(landed(spark, row), CONTRACT, START, END), CONTRACT).quarantined.collect()
    assert [list(found.reasons) for found in quarantined] == [[reason]]


def test_every_reason_is_given_and_the_row_is_kept_as_received(spark: SparkSession) -> None:
    judged = judge(landed(spark, ("x", AT, "7", "c", "XY")), CONTRACT, START, END)
    found = split_judged(judged, CONTRACT).quarantined.collect()[0]
    assert [reason.partition(":")[0] for reason in found.reasons] == ["id", "share", "kind"]
    assert found.raw == '{"id":"x","at":"2013-01-10T08:00:00Z","share":"7","kind":"c","code":"XY"}'
    assert found.source_file == "file.csv"


def test_a_broken_line_is_kept_whole(spark: SparkSession) -> None:
    judged = judge(landed(spark, ("1", None, None, None, None, "1;2;3")), CONTRACT, START, END)
    assert split_judged(judged, CONTRACT).quarantined.collect()[0].raw == "1;2;3"


def test_the_interval_is_half_open(spark: SparkSession) -> None:
    times = ["2012-12-31T23:59:59Z", "2013-01-01T00:00:00Z", "2013-01-31T23:59:59Z", "2013-02-01T00:00:00Z"]
    rows = [(str(number), at, "0", "a", "XY") for number, at in enumerate(times)]
    assert verdicts(judge(landed(spark, *rows), CONTRACT, START, END)) == ["filtered", "clean", "clean", "filtered"]


def test_of_one_key_the_latest_wins_and_the_others_are_duplicates(spark: SparkSession) -> None:
    rows = [("1", "2013-01-02T00:00:00Z", "0.1", "a", "XY"), ("1", "2013-01-03T00:00:00Z", "0.2", "a", "XY")]
    judged = judge(landed(spark, *rows, ("2", AT, "0.3", "a", "XY")), CONTRACT, START, END)
    assert verdicts(judged) == ["duplicate", "clean", "clean"]


def test_a_tie_falls_the_same_way_whatever_the_order(spark: SparkSession) -> None:
    rows = [("1", AT, f"0.{digit}", "a", "XY") for digit in range(1, 9)]
    winners = {
        split_judged(judge(landed(spark, *order), CONTRACT, START, END), CONTRACT).clean.collect()[0].share
        for order in (rows, rows[::-1], rows[3:] + rows[:3])
    }
    assert len(winners) == 1


def test_a_refused_row_does_not_make_a_good_one_a_duplicate(spark: SparkSession) -> None:
    rows = [("1", "2013-01-09T00:00:00Z", "9", "a", "XY"), ("1", "2013-01-02T00:00:00Z", "0.1", "a", "XY")]
    assert verdicts(judge(landed(spark, *rows), CONTRACT, START, END)) == ["clean", "quarantined"]


def test_the_counts_add_up(spark: SparkSession) -> None:
    rows = [
        ("1", AT, "0.1", "a", "XY"),
        ("1", AT, "0.1", "a", "XY"),
        ("2", "2014-01-01T00:00:00Z", "0.1", "a", "XY"),
        ("x", AT, "0.1", "a", "XY"),
        ("y", AT, "0.1", "a", "XY"),
    ]
    counts = count_verdicts(judge(landed(spark, *rows), CONTRACT, START, END), CONTRACT).collect()[0]
    assert (counts.clean, counts.duplicate, counts.filtered, counts.quarantined) == (1, 1, 1, 2)
    assert counts.example == "id: expected a value of type int, received 'x'"
