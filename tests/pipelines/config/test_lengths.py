"""Lengths by the calendar, and splits whose bounds follow from the window's end."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from pipelines.config import TimeSplit, before

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("moment", "length", "expected"),
    [
        ("2013-03-31", "1 month", "2013-02-28T00:00:00-05:00"),
        ("2012-03-31", "month", "2012-02-29T00:00:00-05:00"),
        ("2013-01-15", "2 months", "2012-11-15T00:00:00-05:00"),
        ("2013-01-15", "1 year", "2012-01-15T00:00:00-05:00"),
        ("2013-03-11", "1 day", "2013-03-10T00:00:00-05:00"),  # of 23 hours, since clocks go forward
        ("2013-03-11", "24 hours", "2013-03-09T23:00:00-05:00"),
        ("2013-03-15", "1 week", "2013-03-08T00:00:00-05:00"),
    ],
)
def test_a_length_before_a_moment_goes_by_the_calendar(moment: str, length: str, expected: str) -> None:
    assert before(datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK), length).isoformat() == expected


def test_a_split_may_be_relative_to_the_windows_end() -> None:
    split = TimeSplit(validation="60 days", test="30 days")
    bounds = split.bounds(datetime(2013, 7, 1, tzinfo=NEW_YORK))
    assert [bound.isoformat() for bound in bounds] == ["2013-04-02T00:00:00-04:00", "2013-06-01T00:00:00-04:00"]
    assert str(split) == "by time: test the last 30 days, validation the 60 days before"
    fixed = TimeSplit.model_validate({"validation_from": "2013-10-01", "test_from": "2013-11-05"})
    bounds = fixed.bounds(datetime(2014, 1, 1, tzinfo=NEW_YORK))
    assert [bound.isoformat() for bound in bounds] == ["2013-10-01T00:00:00-04:00", "2013-11-05T00:00:00-05:00"]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            {"test": "30 days"},
            "a split by time has test; expected validation_from and test_from, which are days, or validation",
        ),
        ({}, "a split by time has no bound; expected"),
        ({"validation": "60 days", "test_from": "2013-10-01"}, "has test_from, validation; expected"),
        ({"validation": "60 days", "test": "a while"}, "unknown length 'a while'; expected a number and hours, days"),
    ],
)
def test_a_split_by_time_has_two_days_or_two_lengths(split: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TimeSplit.model_validate(split)
