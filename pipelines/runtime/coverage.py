"""Which intervals a step has written, by row_ledger: it is published with the rows, so it says what is in the tables now.

An interval is what one run lands, cleans and replaces. Those of a step never overlap: a run replaces the intervals that lie
within its own, and one that would cut through another is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pipelines.config import Interval
from pipelines.errors import ConfigError, DataError
from pipelines.io.driver_rows import Bound, Where
from pipelines.runtime.context import Context
from schemas import tables

LOG = logging.getLogger(__name__)

DONE = {"ingest": "landed", "clean": "cleaned"}


class WrittenInterval(NamedTuple):
    """One interval that a step has written: its bounds in UTC, the run, and how many rows of each source came out."""

    start: datetime
    end: datetime
    run_id: str
    rows: Mapping[str, int]

    @property
    def key(self) -> str:
        """What the runs of a window call the interval among their inputs."""
        return f"clean {self.bounds}"

    @property
    def bounds(self) -> str:
        """Start and end in UTC, as row_ledger names an interval that was replaced."""
        return f"{self.start.isoformat()} to {self.end.isoformat()}"

    def interval(self, context: Context) -> Interval:
        """The interval in the pipeline's time zone."""
        return Interval(start=self.start.astimezone(context.zone), end=self.end.astimezone(context.zone))

    def lies_within(self, start: datetime, end: datetime) -> bool:
        """Whether all of it is in a span."""
        return start <= self.start and self.end <= end


def written(context: Context, step: str, where: Where) -> list[WrittenInterval]:
    """The intervals of a step, ingest or clean, that row_ledger has under a selection, in order of time."""
    rows = context.lake.rows(tables.ROW_LEDGER, {"step": step, **where})
    counts: dict[tuple[datetime, datetime], dict[str, int]] = {}
    runs: dict[tuple[datetime, datetime], str] = {}
    for row in rows:
        bounds = row["interval_from"].astimezone(UTC), row["interval_to"].astimezone(UTC)
        counts.setdefault(bounds, {})[row["source"]] = row["rows_out"]
        runs[bounds] = row["run_id"]
    return [WrittenInterval(*bounds, runs[bounds], counts[bounds]) for bounds in sorted(counts)]


def overlapping(context: Context, step: str, start: datetime, end: datetime) -> list[WrittenInterval]:
    """The intervals of a step that share some time with a span, in order of time."""
    return written(context, step, {"interval_from": Bound("<", end), "interval_to": Bound(">", start)})


def _overlapping(context: Context, step: str, known: Sequence[WrittenInterval] | None) -> list[WrittenInterval]:
    start, end = (bound.astimezone(UTC) for bound in context.bounds)
    if known is None:
        return overlapping(context, step, start, end)
    return [other for other in known if other.start < end and start < other.end]


def is_own_interval(context: Context) -> bool:
    """Whether no other interval than the context's own is landed in its span: else it is a window over others."""
    start, end = (bound.astimezone(UTC) for bound in context.bounds)
    return all((other.start, other.end) == (start, end) for other in overlapping(context, "ingest", start, end))


def replaced_intervals(context: Context, step: str, known: Sequence[WrittenInterval] | None = None) -> list[WrittenInterval]:
    """The intervals within the context's whose rows a run of this step replaces, the equal one included.

    `known` are the step's intervals, where they have been read. Raises ConfigError when the interval would cut through
    another, or lies within a larger one.
    """
    start, end = context.bounds
    written = _overlapping(context, step, known)
    if cut := [other for other in written if not other.lies_within(start, end)]:
        raise ConfigError(_cut_through(context, step, cut, written))
    return written


def _cut_through(context: Context, step: str, cut: Sequence[WrittenInterval], written: Sequence[WrittenInterval]) -> str:
    start, end = (bound.astimezone(UTC) for bound in context.bounds)
    named = ", ".join(context.shown(other.start, other.end) for other in cut)
    first, last = min(start, written[0].start), max(end, *(other.end for other in written))
    ways = [f"the same interval again ({context.arguments(cut[0].start, cut[0].end)})"]
    if (first, last) != (cut[0].start, cut[0].end):
        ways.append(f"one that covers all of them and replaces them ({context.arguments(first, last)})")
    if start < written[0].start:
        ways.append(f"one that ends where they begin ({context.arguments(start, written[0].start)})")
    if written[-1].end < end:
        ways.append(f"one that begins where they end ({context.arguments(written[-1].end, end)})")
    return (
        f"{step}: {context.shown(start, end)} cuts through what is {DONE[step]} already ({named}), whose rows would be there "
        f"twice; expected an interval that is equal to an existing one, covers it completely or lies beside it. No table was "
        f"changed. Run {', or '.join(ways)}."
    )


def landing_run(context: Context, known: Sequence[WrittenInterval] | None = None) -> str:
    """The run that landed exactly the context's interval; raises DataError, with what to run, when none did.

    `known` are the intervals that have landed, where they have been read.
    """
    start, end = (bound.astimezone(UTC) for bound in context.bounds)
    written = _overlapping(context, "ingest", known)
    for landed in written:
        if (landed.start, landed.end) == (start, end):
            return landed.run_id
    span = context.shown(start, end)
    if not written:
        raise DataError(f"clean: ingest has not been done for {span}. Run jobs/ingest.py over the same interval first.")
    named = ", ".join(context.shown(landed.start, landed.end) for landed in written[:3])
    more = f" and {len(written) - 3} more" if len(written) > 3 else ""
    raise DataError(
        f"clean: {span} was not landed as one interval, but {named}{more}; expected the same interval as that of ingest. "
        f"Clean {'it' if len(written) == 1 else 'each'} ({context.arguments(written[0].start, written[0].end)}). Or "
        f"run jobs/ingest.py over the same interval first."
    )


def report_replaced(context: Context, step: str, replaced: Sequence[WrittenInterval]) -> list[str]:
    """Log the smaller intervals that the context's takes the place of; return them for row_ledger, in UTC."""
    smaller = smaller_than(context, replaced)
    if smaller:
        span = context.shown(smaller[0].start, smaller[-1].end)
        text = f"   {step}: takes the place of {len(smaller):,} smaller intervals, from {span}"
        LOG.warning(text)
    return [each.bounds for each in smaller]


def smaller_than(context: Context, replaced: Sequence[WrittenInterval]) -> list[WrittenInterval]:
    """Those of the replaced intervals that are not the context's own."""
    start, end = (bound.astimezone(UTC) for bound in context.bounds)
    return [other for other in replaced if (other.start, other.end) != (start, end)]
