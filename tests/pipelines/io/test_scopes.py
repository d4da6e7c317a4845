"""Which scopes have rows in common: intervals of one step by their time, all others by equality."""

from __future__ import annotations

import pytest

from pipelines.io.scopes import covers, overlap

JANUARY = "clean 2013-01-01T00:00:00+00:00 to 2013-02-01T00:00:00+00:00"
QUARTER = "clean 2013-01-01T00:00:00+00:00 to 2013-04-01T00:00:00+00:00"
TO_MID_MARCH = "clean 2013-02-15T00:00:00+00:00 to 2013-03-15T00:00:00+00:00"
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
        ("train a", "train a", True, True),
        ("train a", "train b", False, False),
    ],
)
def test_intervals_of_one_step_overlap_by_time_and_others_when_equal(
    scope: str, other: str, overlaps: bool, is_covered: bool
) -> None:
    assert overlap(scope, other) is overlap(other, scope) is overlaps
    assert covers(scope, other) is is_covered
