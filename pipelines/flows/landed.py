"""Which landed rows are an interval's: those that landed with it, and those that came late with another one."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.config import Interval
from pipelines.flows.context import Context
from pipelines.flows.coverage import written
from pipelines.flows.runs import Run
from schemas import lake

LATE = "late"


def landed(context: Context, name: str, rows: int | None = None) -> DataFrame:
    """A source's landed rows that are the interval's: those landed with it, and those that came late with another one.

    `rows` says how many there are, where that is known: a few are read in parts small enough for every slot to have one.
    """
    contract = context.config.contract(name)
    raw = context.lake.read(lake.raw(contract).name, rows=rows)
    there = set(raw.columns)
    grown = [column for column in contract.column_names if column not in there]
    raw = raw.withColumns({column: F.lit(None).cast("string") for column in grown}) if grown else raw
    if may_come_late(context, name):
        return raw.where(context.in_interval | _inside(context))
    return raw.where(context.in_interval)


def landed_with(context: Context, name: str) -> DataFrame:
    """The rows that landed with the interval, whether they belong to it or not."""
    return context.lake.read(lake.raw(context.config.contract(name)).name).where(context.in_interval)


def late_intervals(context: Context) -> list[Interval]:
    """Other intervals, cleaned before, to which rows belong that landed with this one, now or when it was last landed."""
    if not any(may_come_late(context, name) for name in context.sources):
        return []
    runs = context.runs.everywhere("clean")
    cleaned = [one.interval(context) for one in written(context, "clean", {})]
    others = [other for other in cleaned if other != context.interval]
    if not others:
        return []
    mine = context.runs.ids("ingest")
    found = {number for number, other in enumerate(others) if other in runs and mine & _late_runs(runs[other])}
    for name in context.sources:
        if may_come_late(context, name):
            rows = context.lake.read(lake.raw(context.config.contract(name)).name).where(
                context.in_interval & ~_inside(context)
            )
            inside = [F.max(_between(other)).alias(str(number)) for number, other in enumerate(others)]
            found |= {number for number, is_in in enumerate(rows.agg(*inside).collect()[0]) if is_in}
    return [others[number] for number in sorted(found)]


def may_come_late(context: Context, name: str) -> bool:
    """Whether a source is given its interval's rows alone, and its rows tell to which interval they belong."""
    return context.sources[name].sliced and context.config.contract(name).event_time is not None


def _late_runs(run: Run) -> set[str]:
    return {late for name, value in run.inputs.items() if name.startswith(LATE) for late in value.split(", ")}


def _inside(context: Context) -> Column:
    return _between(context.interval)


def _between(interval: Interval) -> Column:
    return (F.col("event_at") >= F.lit(interval.start)) & (F.col("event_at") < F.lit(interval.end))


def late_runs(context: Context) -> dict[str, str]:
    """By source, the runs that landed rows of this interval late, with others."""
    found: dict[str, str] = {}
    for name in context.sources:
        if may_come_late(context, name):
            late = context.lake.read(lake.raw(context.config.contract(name)).name).where(
                _inside(context) & ~context.in_interval
            )
            runs = sorted(row.run_id for row in late.select("run_id").distinct().collect())
            found |= {f"{LATE} {name}": ", ".join(runs)} if runs else {}
    return found
