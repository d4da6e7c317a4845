"""Which landed rows are an interval's: those that landed with it, and those that came late with another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.config import Interval
from pipelines.io.driver_rows import Bound
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import overlapping, written
from pipelines.runtime.runs import Run
from schemas.contract import LANDING_ORDER

LATE, OF = "late", "@"
GRAIN = timedelta(minutes=15)  # of which the clocks of all time zones are made


def landed(context: Context, name: str, rows: int | None = None) -> DataFrame:
    """A source's landed rows that are the interval's: those landed with it, and those that came late with another one.

    `rows` says how many there are, where that is known: a few are read in parts small enough for every slot to have one.
    """
    raw = raw_rows(context, name, rows)
    if may_come_late(context, name):
        return raw.where(context.in_interval | _inside(context))
    return raw.where(context.in_interval)


def raw_rows(context: Context, name: str, rows: int | None = None) -> DataFrame:
    """A source's landed rows of all intervals; columns that the contract has had since only are null."""
    contract = context.config.contract(name)
    raw = context.raw(name, rows)
    stored = set(raw.columns)
    wanted = (*contract.column_names, *((LANDING_ORDER,) if contract.in_landing_order else ()))
    grown = [column for column in wanted if column not in stored]
    return raw.withColumns({column: F.lit(None).cast("string") for column in grown}) if grown else raw


def landed_with(context: Context, name: str) -> DataFrame:
    """The rows that landed with the interval, whether they belong to it or not."""
    return context.raw(name).where(context.in_interval)


def late_intervals(context: Context, landed_now: Column | None = None, done: Sequence[Interval] = ()) -> list[Interval]:
    """Other intervals, cleaned before, to which rows belong that landed with this one, now or when it was last landed.

    Of several intervals that were done at once `landed_now` selects the rows, and `done` are the intervals.
    """
    sources = [name for name in context.sources if may_come_late(context, name)]
    if not sources:
        return []
    rows = context.in_interval if landed_now is None else landed_now
    moments = {moment for name in sources for moment in _late_moments(context, name, rows)}
    present = {each.run_id for each in overlapping(context, "ingest", *context.bounds)}
    former = context.runs.ids("ingest") - present
    # Rows that are gone again may have been of any interval; what landed now says itself where it belongs.
    runs = context.runs.everywhere("clean") if former else {}
    if not moments and not runs:
        return []
    near = {} if runs else {"interval_from": Bound("<", max(moments) + GRAIN), "interval_to": Bound(">", min(moments))}
    others = [each.interval(context) for each in written(context, "clean", near)]
    affected = [other for other in others if _has_any(other, moments) or (other in runs and former & _late_runs(runs[other]))]
    return [other for other in affected if other not in {context.interval, *done}]


def _has_any(interval: Interval, moments: Iterable[datetime]) -> bool:
    return any(interval.start < moment + GRAIN and moment < interval.end for moment in moments)


def _late_moments(context: Context, name: str, landed_now: Column) -> set[datetime]:
    """The quarters of hours, in UTC, in which the event times lie that are not in the interval that their rows landed with."""
    rows = context.raw(name).where(landed_now)
    outside = (F.col("event_at") < F.col("interval_from")) | (F.col("event_at") >= F.col("interval_to"))
    seconds = F.unix_seconds("event_at")
    quarters = rows.where(outside).select((seconds - F.pmod(seconds, F.lit(GRAIN.seconds))).alias("start")).distinct()
    return {datetime.fromtimestamp(row.start, UTC) for row in quarters.collect()}


def may_come_late(context: Context, name: str) -> bool:
    """Whether a source is given its interval's rows alone, and its rows tell to which interval they belong."""
    return context.sources[name].sliced and context.config.contract(name).event_time is not None


def _late_runs(run: Run) -> set[str]:
    landings = (late for name, value in run.inputs.items() if name.startswith(LATE) for late in value.split(", "))
    return {landing.partition(OF)[0] for landing in landings}


def landing_name() -> Column:
    """What names the landing that a raw row came with: its run, and its interval, since one run may land many."""
    return F.concat_ws(OF, "run_id", F.unix_seconds("interval_from").cast("string"))


def _inside(context: Context) -> Column:
    start, end = context.bounds
    return (F.col("event_at") >= F.lit(start)) & (F.col("event_at") < F.lit(end))


def late_runs(context: Context) -> dict[str, str]:
    """By source, the landings that brought rows of this interval late, with others."""
    landings: dict[str, str] = {}
    for name in context.sources:
        if may_come_late(context, name):
            late = context.raw(name).where(_inside(context) & ~context.in_interval)
            runs = sorted(row.landing for row in late.select(landing_name().alias("landing")).distinct().collect())
            landings |= {f"{LATE} {name}": ", ".join(runs)} if runs else {}
    return landings
