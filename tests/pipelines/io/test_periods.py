"""Sources with a period in their path: a longer interval reads the files of all its periods, another is refused."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from pipelines.config import Interval
from pipelines.config.lengths import begins_period, check_period
from pipelines.errors import ConfigError, ExternalError
from pipelines.io.sources.csv_files import CsvFiles
from schemas.contract import Column, Table

CONTRACT = Table("people", (Column("id", "int", nullable=False), Column("name", "string")))
ZONE = ZoneInfo("America/New_York")


def span(start: str, end: str) -> Interval:
    """An interval by New York's clock."""
    bounds = [datetime.fromisoformat(bound).replace(tzinfo=ZONE) for bound in (start, end)]
    return Interval(start=bounds[0], end=bounds[1])


def monthly(folder: Path, **settings: Any) -> CsvFiles:
    """A source of monthly files, of which January's and March's are there."""
    for month in (1, 3):
        (folder / f"2013-0{month}.csv").write_text(f"id,name\n{month},m{month}\n")
    return CsvFiles(kind="csv", path=str(folder / "{from:%Y-%m}.csv"), every="month", **settings)


def test_a_longer_interval_reads_all_its_periods(spark: SparkSession, tmp_path: Path) -> None:
    source = monthly(tmp_path)
    (tmp_path / "2013-02.csv").write_text("id,name\n2,m2\n")
    quarter = span("2013-01-01", "2013-04-01")
    assert sorted(row.id for row in source.read(spark, CONTRACT, quarter).collect()) == ["1", "2", "3"]
    assert [Path(part.split(":")[-3]).name for part in source.version(spark, CONTRACT, quarter).split(";")] == [
        "2013-01.csv", "2013-02.csv", "2013-03.csv"
    ]  # fmt: skip


def test_a_missing_period_fails_or_is_reported_as_declared(spark: SparkSession, tmp_path: Path) -> None:
    quarter, may = span("2013-01-01", "2013-04-01"), span("2013-05-01", "2013-07-01")
    with pytest.raises(ExternalError, match=r"source people: no file at .*2013-02\.csv\. Fix sources\.people\.path"):
        monthly(tmp_path).read(spark, CONTRACT, quarter)
    with pytest.raises(ExternalError, match=r"no file at .*2013-05\.csv \(nor those of 1 other periods\)"):
        monthly(tmp_path).read(spark, CONTRACT, may)
    source = monthly(tmp_path, missing="report")
    assert sorted(row.id for row in source.read(spark, CONTRACT, quarter).collect()) == ["1", "3"]
    assert [Path(path).name for path in source.absent(spark, CONTRACT, quarter)] == ["2013-02.csv"]
    nothing = source.read(spark, CONTRACT, may)
    assert (nothing.count(), nothing.columns[:2]) == (0, ["id", "name"])


@pytest.mark.parametrize(("start", "end"), [("2013-01-05", "2013-02-05"), ("2013-01-01", "2013-01-15")])
def test_an_interval_that_is_no_whole_number_of_periods_is_refused(
    spark: SparkSession, tmp_path: Path, start: str, end: str
) -> None:
    message = rf"sources\.people\.every: the interval {start} 00:00 to {end} 00:00 is no whole number of periods .*\(month\)"
    with pytest.raises(ConfigError, match=message):
        monthly(tmp_path).version(spark, CONTRACT, span(start, end))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "a-{from:%Y-%m}.csv"}, "has a period, but not how long it is; expected every"),
        ({"path": "a.csv", "every": "day"}, "every and missing are of a period in the path, and a.csv has none"),
        ({"path": "a.csv", "missing": "report"}, "every and missing are of a period in the path"),
        ({"path": "a-{from}.csv", "every": "5 days"}, "'5 days' is no period of the calendar; expected such as hour"),
        ({"path": "a-{from}.csv", "every": "moon"}, "unknown length 'moon'"),
    ],
)
def test_a_period_is_declared_with_its_path(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CsvFiles.model_validate({"kind": "csv", **settings})
    assert CsvFiles(kind="csv", path="a-{from}-{to}.csv").periods(CONTRACT, span("2013-01-01", "2013-01-09")) == [
        span("2013-01-01", "2013-01-09")
    ]


@pytest.mark.parametrize(
    ("moment", "every", "begins"),
    [
        ("2013-01-01", "year", True), ("2013-02-01", "year", False), ("2013-04-01", "3 months", True),
        ("2013-05-01", "3 months", False), ("2013-01-07", "week", True), ("2013-01-08", "week", False),
        ("2013-01-08", "day", True), ("2013-01-08T06:00", "day", False), ("2013-01-08T06:00", "6 hours", True),
        ("2013-01-08T07:00", "6 hours", False), ("2013-01-08T07:30", "hour", False),
    ],
)  # fmt: skip
def test_periods_begin_by_the_calendar(moment: str, every: str, *, begins: bool) -> None:
    assert begins_period(datetime.fromisoformat(moment), check_period(every)) is begins
