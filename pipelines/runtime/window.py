"""What a window reads: of events the rows within it, of a snapshot its newest landing up to the window's end.

A window is the span that features and drift read, and for which train and evaluate go on: any span that cleaned intervals
cover, one or many, whose bounds need not be its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account
from pipelines.cleaning.window_keys import Losers, losers_of, without_losers
from pipelines.config import before
from pipelines.errors import DataError
from pipelines.expressions import col
from pipelines.io.driver_rows import Bound, Where
from pipelines.io.iceberg import IcebergTable
from pipelines.io.periods import frame_of
from pipelines.io.tables import within_interval
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import WrittenInterval, overlapping, written
from pipelines.runtime.gaps import gaps_message, gaps_of, uncovered
from schemas import tables
from schemas.contract import LANDING_ORDER, VALID, Table


@dataclass(frozen=True)
class Window:
    """A window's bounds in UTC; from when on (`since`) derivations read events, which may be before its start; the cleaned
    intervals that these are in, in order of time; and the interval whose snapshots it reads.
    """

    start: datetime
    end: datetime
    since: datetime
    intervals: tuple[WrittenInterval, ...]
    newest: WrittenInterval
    former: WrittenInterval | None = None
    """The newest interval that ended by `since`, where a snapshot with history is among the sources."""


class WindowRows(NamedTuple):
    """A source's clean rows within a window; how many there were before those went whose key another interval's row has, how
    many went, and how many of them were plain copies.
    """

    rows: DataFrame
    rows_in: int
    duplicates: int = 0
    repeated: int = 0


def window_runs(context: Context, by: str) -> dict[str, str]:
    """The runs that cleaned what the context's window reads; raises what `window_of` does, of which `by` is the step."""
    window = window_of(context, by)
    contracts = (context.config.contract(name) for name in context.sources)
    runs = {each.key: each.run_id for contract in contracts for each in _read_of(context, window, contract)}
    return dict(sorted(runs.items())) if len(runs) > 1 else {"clean": next(iter(runs.values()))}


def window_of(context: Context, by: str) -> Window:
    """The context's window as row_ledger has it cleaned.

    Raises DataError when parts of it are not cleaned, unless the context allows gaps, when none is, or when intervals overlap.
    """
    start, end = (bound.astimezone(UTC) for bound in context.bounds)
    length = context.config.features.look_back
    since = before(context.interval.start, length).astimezone(UTC) if length else start
    cleaned = _whole(context, overlapping(context, "clean", since, end))
    first = max(since, min(start, *(each.start for each in cleaned))) if length and cleaned else start
    if first > since and written(context, "clean", {"interval_to": Bound("<=", since)}):
        first = since  # there are older rows, so what is not cleaned is a gap, and not the time before the data began
    gaps = []
    if uncovered(first, end, cleaned):
        gaps = gaps_of(first, end, cleaned, _whole(context, overlapping(context, "ingest", first, end)))
    if not cleaned or (gaps and not context.allow_gaps):
        raise DataError(gaps_message(context, by, gaps))
    for one, other in pairwise(cleaned):
        if other.start < one.end:
            both = [context.shown(each.start, each.end) for each in (one, other)]
            raise DataError(
                f"{by}: {both[0]} and {both[1]} are both cleaned, so that rows would be read twice. Run jobs/ingest.py and "
                f"jobs/clean.py over an interval that covers both ({context.arguments(one.start, max(one.end, other.end))})."
            )
    has_history = any(context.config.contract(name).history for name in context.sources)
    ended = _whole(context, written(context, "clean", {"interval_to": Bound("<=", since)})) if has_history else []
    former = max(ended, key=lambda interval: interval.end, default=None)
    return Window(start, end, since, tuple(cleaned), _newest(context, cleaned, end), former)


def _whole(context: Context, intervals: Sequence[WrittenInterval]) -> list[WrittenInterval]:
    """Those of the intervals that have all configured sources."""
    return [interval for interval in intervals if set(context.config.sources) <= set(interval.rows)]


def _newest(context: Context, cleaned: Sequence[WrittenInterval], end: datetime) -> WrittenInterval:
    """The newest interval that ended by the window's end; where none did, the first that the window has rows of."""
    if ended := [interval for interval in cleaned if interval.end <= end]:
        return max(ended, key=lambda interval: interval.end)
    before = _whole(context, written(context, "clean", {"interval_to": Bound("<=", end)}))
    return max(before, key=lambda interval: interval.end, default=cleaned[0])


def window_rows(context: Context, window: Window, name: str) -> WindowRows:
    """The clean rows of a source that a window reads, each key once, without the columns of run and interval.

    Raises DataError when the clean table has not the rows that row_ledger says, as where a run was killed or is at work.
    """
    contract = context.config.contract(name)
    intervals = _read_of(context, window, contract)
    chosen = _of_intervals(intervals)
    count = _count(context, tables.clean(contract).name, intervals)
    _check_count(context, name, count, sum(interval.rows[name] for interval in intervals))
    rows = context.clean(name, count).where(chosen)
    in_window = F.lit(True)
    if contract.event_time and not all(interval.lies_within(window.start, window.end) for interval in intervals):
        rows = rows.where(_between(contract.event_time, window.since, window.end))
        in_window = col(contract.event_time) >= F.lit(window.start)
        count = rows.where(in_window).count()
    if contract.history:
        return WindowRows(_with_validity(context, rows, intervals).drop("run_id", LANDING_ORDER), count)
    losers = losers_of(rows, contract, in_window) if len(intervals) > 1 else Losers()
    if losers.rows is not None:
        rows = without_losers(rows, losers.rows, contract)
    return WindowRows(
        rows.drop("run_id", "interval_from", "interval_to", LANDING_ORDER), count, losers.counted, losers.repeated
    )


def window_accounts(
    step: str, rows_of: str, sources: Mapping[str, WindowRows], written: int, quarantined: int, filtered: int
) -> list[Account]:
    """The examples' account first; then one for each other source that had a key in several intervals."""
    examples_of = sources[rows_of]
    account = Account(step, rows_of, examples_of.rows_in, written, quarantined, examples_of.duplicates, filtered)
    others = [
        Account(step, name, of.rows_in, of.rows_in - of.duplicates, duplicates=of.duplicates, repeated=of.repeated)
        for name, of in sources.items()
        if of.duplicates and name != rows_of
    ]
    return [replace(account, repeated=examples_of.repeated), *others]


def _read_of(context: Context, window: Window, contract: Table) -> tuple[WrittenInterval, ...]:
    """The intervals from which a source's rows come: of a snapshot one, else all that the window has rows of."""
    if contract.event_time is not None:
        return window.intervals
    if contract.history:
        landed = [interval for interval in window.intervals if interval.end <= window.end]
        return tuple([window.former] if window.former else []) + tuple(landed) or (window.newest,)
    if not context.sources[contract.name].sliced:
        return (window.newest,)
    intervals = tuple(interval for interval in window.intervals if interval.end > window.start)
    for interval in intervals:
        if not interval.lies_within(window.start, window.end):
            raise DataError(
                f"source {contract.name}: its contract has no event_time, so its rows of "
                f"{context.shown(interval.start, interval.end)} can't be cut at the bounds of the window "
                f"{context.shown(window.start, window.end)}; expected a window that begins and ends where intervals do."
            )
    return intervals


def _with_validity(context: Context, rows: DataFrame, landings: Sequence[WrittenInterval]) -> DataFrame:
    """A snapshot's rows of several landings, each valid from the end of its interval to that of the next; the first since ever,
    since nothing older is known.
    """
    ends: list[datetime | None] = [None, *(landing.end for landing in landings[1:]), None]
    spans = [
        {"interval_from": landing.start, VALID[0]: start, VALID[1]: end}
        for landing, (start, end) in zip(landings, pairwise(ends), strict=True)
    ]
    return rows.join(F.broadcast(frame_of(context.spark, spans)), "interval_from").drop("interval_from", "interval_to")


def _of_intervals(intervals: Sequence[WrittenInterval]) -> Column:
    """Selects the rows of intervals that do not overlap; where they lie side by side by their bounds alone."""
    inside = within_interval(intervals[0].start, intervals[-1].end)
    if _are_adjacent(intervals):
        return inside
    return inside & F.col("interval_from").isin([interval.start for interval in intervals])


def _count(context: Context, table: str, intervals: Sequence[WrittenInterval]) -> int:
    """The rows of intervals: by the table's metadata, for which Spark would start two jobs."""
    stored = IcebergTable(context.spark, context.lake.identifier(table))
    count = stored.count_rows(_where(intervals)) if _are_adjacent(intervals) else None
    return context.lake.read(table).where(_of_intervals(intervals)).count() if count is None else count


def _where(intervals: Sequence[WrittenInterval]) -> Where:
    """The same of intervals that lie side by side, for the driver."""
    return {"interval_from": Bound(">=", intervals[0].start), "interval_to": Bound("<=", intervals[-1].end)}


def _are_adjacent(intervals: Sequence[WrittenInterval]) -> bool:
    return all(one.end == other.start for one, other in pairwise(intervals))


def _between(column: str, start: datetime, end: datetime) -> Column:
    return (col(column) >= F.lit(start)) & (col(column) < F.lit(end))


def _check_count(context: Context, name: str, count: int, expected: int) -> None:
    if count != expected:
        raise DataError(
            f"clean_{name} has {count:,} rows of the window {context.shown(*context.bounds)}, row_ledger says {expected:,}. A "
            f"run of clean was killed or is at work there. Wait until it has ended, or run jobs/clean.py again over its "
            f"interval, with --force."
        )
