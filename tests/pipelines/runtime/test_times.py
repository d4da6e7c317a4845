"""Times in messages and commands are those of the pipeline's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pipelines.cleaning.expectations import check_freshness
from pipelines.config import WHOLE, Interval
from pipelines.runtime.times import as_arguments, shown_span
from schemas.contract import Column, Freshness, Table

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("start", "end", "shown", "arguments"),
    [
        ("2013-01-01T05:00", "2013-07-01T04:00", "2013-01-01 00:00 to 2013-07-01 00:00", "--from 2013-01-01 --to 2013-07-01"),
        ("2013-01-01T06:30", "2013-01-01T07:00:05", "2013-01-01 01:30 to 2013-01-01 02:00",
         "--from 2013-01-01T01:30 --to 2013-01-01T02:00:05"),
        ("2013-11-03T05:30", "2013-11-03T06:30", "2013-11-03 01:30 to 2013-11-03 01:30",
         "--from 2013-11-03T01:30 --to 2013-11-03T01:30:00-05:00"),
    ],
)  # fmt: skip
def test_a_span_is_shown_by_the_pipelines_clock(start: str, end: str, shown: str, arguments: str) -> None:
    first, last = (datetime.fromisoformat(bound).replace(tzinfo=UTC) for bound in (start, end))
    assert shown_span(first, last, NEW_YORK) == shown
    assert as_arguments(first, last, NEW_YORK) == arguments


def test_bounds_of_another_zone_are_brought_to_the_pipelines() -> None:
    given = Interval(start=datetime(2013, 1, 1, 5, tzinfo=UTC), end=datetime(2013, 2, 1, 5, tzinfo=UTC))
    located = given.located("America/New_York")
    assert (located.start.isoformat(), located.end.isoformat()) == ("2013-01-01T00:00:00-05:00", "2013-02-01T00:00:00-05:00")


def test_an_interval_may_lie_in_the_hour_that_a_clock_shows_twice() -> None:
    given = Interval(start=datetime(2013, 11, 3, 5, tzinfo=UTC), end=datetime(2013, 11, 3, 7, tzinfo=UTC))
    hours = given.located("America/New_York").cut("hour")
    assert [(hour.start.isoformat(), hour.end.isoformat()) for hour in hours] == [
        ("2013-11-03T01:00:00-04:00", "2013-11-03T01:00:00-05:00"),
        ("2013-11-03T01:00:00-05:00", "2013-11-03T02:00:00-05:00"),
    ]


def test_freshness_is_reported_in_the_intervals_zone() -> None:
    contract = Table("visits", (Column("at", "timestamp"),), event_time="at", freshness=Freshness(2))
    [broken] = check_freshness(contract, datetime(2013, 1, 2, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=NEW_YORK))
    assert broken.example.endswith("of 2013-01-02 00:00:00 EST, the newest is 2013-01-01 20:00:00 EST")


def test_pandas_holds_the_bounds_of_data_without_time() -> None:
    bounds = [bound.replace(tzinfo=None) for bound in (WHOLE.start, WHOLE.end)]
    assert [moment.to_pydatetime() for moment in pd.to_datetime(bounds).as_unit("ns")] == bounds
