"""A run of an interval and one of a larger interval that covers it, at once: in every table the rows of one of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import UTC, datetime

import pytest
from pyspark.sql import functions as F

from pipelines.errors import ConflictError
from pipelines.io.audit import Audit
from pipelines.io.driver_rows import Bound
from pipelines.io.lake import Lake
from pipelines.io.tables import within_interval
from schemas.contract import Column, Table

INTERVAL = (Column("interval_from", "timestamp", nullable=False), Column("interval_to", "timestamp", nullable=False))
TABLES = [
    Table(name, (Column("run", "string"), *INTERVAL), partition_by=("interval_from", "interval_to"))
    for name in ("apples", "row_ledger")
]
DAY = (datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 5, 2, tzinfo=UTC))
SPAN = (datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 5, 4, tzinfo=UTC))
NEXT = (datetime(2013, 5, 2, tzinfo=UTC), datetime(2013, 5, 3, tzinfo=UTC))


def steps(lake: Lake, run: str, interval: tuple[datetime, datetime]) -> Generator[str]:
    """A run of one interval, a step at a time: stage both tables, publish each, check."""
    start, end = interval
    apples, ledger = TABLES
    rows = [{"run": run, "interval_from": start, "interval_to": end}]
    lake = Lake(lake.spark, lake.namespace, run)
    with Audit(lake, f"clean {start.isoformat()} to {end.isoformat()}") as audit:
        audit.write(apples, lake.frame(apples, rows), within_interval(start, end))
        audit.write_rows(ledger, rows, {"interval_from": Bound(">=", start), "interval_to": Bound("<=", end)})
        yield "staged"
        yield from (name for name, _ in audit.publishing())


def in_turns(works: dict[str, Iterator[str]], order: str) -> dict[str, str]:
    """Take a step of the run that each letter names; the conflicts, by run."""
    conflicts: dict[str, str] = {}
    for run in order:
        try:
            next(works[run], None)
        except ConflictError as error:
            conflicts[run] = str(error)
    return conflicts


def published_runs(lake: Lake) -> list[list[str]]:
    """The runs whose rows are in each table."""
    return [sorted(row.run for row in lake.read(table.name).collect()) for table in TABLES]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "winner"),
    [
        ("SDDDDSSSS", "D"),  # the day's rows came since the span's branch began: the span gives up
        ("DSSDSSDD", "S"),  # the day meets the span's rows at the first table
        ("DDSSDSSD", "S"),  # the span replaces the day's first table, then meets its ledger
        ("DDSSSSDD", "S"),  # the day meets the span's ledger
        ("SSDDSSDD", "S"),  # the day begins on top of the span's first table, whose ledger is not there yet
        ("DDDDSSSS", "S"),  # one after the other
    ],
)
def test_of_a_day_and_a_span_that_covers_it_every_table_has_the_rows_of_one(lake: Lake, order: str, winner: str) -> None:
    list(steps(lake, "N", NEXT)) if winner == "D" else None
    conflicts = in_turns({"D": steps(lake, "D", DAY), "S": steps(lake, "S", SPAN)}, order)
    expected = ["D", "N"] if winner == "D" else ["S"]
    assert published_runs(lake) == [expected, expected]
    assert winner not in conflicts
    assert all("an interval that overlaps this one" in text for text in conflicts.values())


@pytest.mark.slow
def test_what_a_killed_span_left_is_not_built_upon(lake: Lake) -> None:
    killed = steps(lake, "S", SPAN)
    next(killed)
    next(killed)  # its apples are published, its ledger is not
    with pytest.raises(ConflictError, match=r"run S published an interval that overlaps this one .*killed, run its command"):
        list(steps(lake, "D", DAY))
    assert published_runs(lake) == [["S"], []]
    list(steps(lake, "again", SPAN))
    assert published_runs(lake) == [["again"], ["again"]]
    assert lake.read("apples").where(F.col("interval_to") == F.lit(SPAN[1])).count() == 1
    killed.close()
