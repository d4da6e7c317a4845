"""A run of many intervals beside runs of others, table by table: all intervals land, each with the rows of one run."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime

import pytest

from pipelines.errors import ConflictError
from pipelines.io.audit import Audit
from pipelines.io.driver_rows import Spans
from pipelines.io.lake import Lake
from pipelines.io.scopes import scope_of
from pipelines.io.tables import within_interval
from schemas.contract import Column, Table

INTERVAL = (Column("interval_from", "timestamp", nullable=False), Column("interval_to", "timestamp", nullable=False))
APPLES, LEDGER = (
    Table(name, (Column("run", "string"), *INTERVAL), partition_by=("interval_from", "interval_to"))
    for name in ("apples", "row_ledger")
)
FIRST, SECOND, THIRD = ((datetime(2013, 5, n, tzinfo=UTC), datetime(2013, 5, n + 1, tzinfo=UTC)) for n in (1, 2, 3))
RUNS = {"B": (FIRST, SECOND), "D": (FIRST,), "X": (THIRD,)}


def steps(lake: Lake, run: str) -> Generator[str]:
    """A run of its intervals, a step at a time: stage both tables, publish each, check."""
    intervals = RUNS[run]
    span = (intervals[0][0], intervals[-1][1])
    rows = [{"run": run, "interval_from": start, "interval_to": end} for start, end in intervals]
    lake = Lake(lake.spark, lake.namespace, run)
    with Audit(lake, scope_of("clean", intervals)) as audit:
        audit.write(APPLES, lake.frame(APPLES, rows), within_interval(*span))
        assert audit.rows_by_interval(APPLES) == dict.fromkeys(intervals, 1)
        audit.write_rows(LEDGER, rows, {"interval_from": Spans((span,))})
        yield "staged"
        yield from (name for name, _ in audit.publishing())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "conflict", "runs"),
    [
        ("BBBBDDDD", "", "BD"),  # one of them is done again by itself
        ("DDDDBBBB", "", "BB"),
        ("BXXXXBBB", "", "BBX"),  # staged anew on top of an interval beside it
        ("BDDDDBBB", "B", "D"),  # the day has been taken over, so the batch gives up; what is in it lands with the next try
    ],
)
def test_a_batch_and_other_runs_land_beside_each_other(lake: Lake, order: str, conflict: str, runs: str) -> None:
    works, conflicts = {run: steps(lake, run) for run in set(order)}, ""
    for run in order:
        try:
            next(works[run], None)
        except ConflictError:
            conflicts += run
    assert conflicts == conflict
    for table in (APPLES, LEDGER):
        assert "".join(sorted(row.run for row in lake.read(table.name).collect())) == runs
