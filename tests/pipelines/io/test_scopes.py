"""Which scopes have rows in common: intervals of one step by their time, all others by equality."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.io.scopes import covers, is_of_many, overlap, scope_of

JANUARY = "clean 2013-01-01T00:00:00+00:00 to 2013-02-01T00:00:00+00:00"
QUARTER = "clean 2013-01-01T00:00:00+00:00 to 2013-04-01T00:00:00+00:00"
TO_MID_MARCH = "clean 2013-02-15T00:00:00+00:00 to 2013-03-15T00:00:00+00:00"
BATCH = (
    "clean 2013-01-01T00:00:00+00:00 to 2013-02-01T00:00:00+00:00 to 2013-03-01T00:00:00+00:00, 2013-03-15T00:00:00+00:00 to "
    "2013-04-01T00:00:00+00:00"
)
FEBRUARY = "clean 2013-02-01T00:00:00+00:00 to 2013-03-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("scope", "other", "overlaps", "is_covered"),
    [
        (JANUARY, JANUARY, True, True),
        (QUARTER, JANUARY, True, True),
        (JANUARY, QUARTER, True, False),
        (JANUARY, FEBRUARY, False, False),
        (FEBRUARY, TO_MID_MARCH, True, False),
        (JANUARY, JANUARY.replace("clean", "ingest"), False, False),
        (JANUARY, "clean 2013-01-01T01:00:00+01:00 to 2013-02-01T01:00:00+01:00", True, True),  # the same instants
        (JANUARY.replace("clean", "features"), QUARTER.replace("clean", "features"), False, False),
        (QUARTER, BATCH, True, True),
        (JANUARY, BATCH, True, True),  # the rest of the batch is beside it
        (BATCH, JANUARY, True, True),
        (BATCH, TO_MID_MARCH, True, False),
        (BATCH, "clean 2013-03-01T00:00:00+00:00 to 2013-03-15T00:00:00+00:00", False, False),
        ("train a", "train a", True, True),
        ("train a", "train b", False, False),
    ],
)
def test_intervals_of_one_step_overlap_by_time_and_others_when_equal(
    scope: str, other: str, overlaps: bool, is_covered: bool
) -> None:
    assert overlap(scope, other) is overlap(other, scope) is overlaps
    assert covers(scope, other) is is_covered


def test_a_scope_names_the_bounds_of_its_intervals() -> None:
    days = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(5)]
    assert scope_of("clean", [(days[0], days[1])]) == "clean 2013-01-01T00:00:00+00:00 to 2013-01-02T00:00:00+00:00"
    several = scope_of("ingest", [(days[0], days[1]), (days[1], days[2]), (days[3], days[4])])
    assert several == (
        "ingest 2013-01-01T00:00:00+00:00 to 2013-01-02T00:00:00+00:00 to 2013-01-03T00:00:00+00:00, "
        "2013-01-04T00:00:00+00:00 to 2013-01-05T00:00:00+00:00"
    )
    assert (is_of_many(several), is_of_many(JANUARY), is_of_many("train a")) == (True, False, False)
