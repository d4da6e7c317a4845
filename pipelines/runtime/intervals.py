"""Steps over one interval or many, and over those to which rows came late."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from pyspark.sql import Column

from pipelines.config import Interval
from pipelines.errors import DataError, ExternalError, RingmillError
from pipelines.runtime.batches import Batch, bounds_of_interval
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import overlapping
from pipelines.runtime.execute import execute
from pipelines.runtime.log_context import LOG_CONTEXT
from pipelines.runtime.log_handler import BOLD
from pipelines.runtime.many import bulk_steps, execute_many, spanning
from pipelines.runtime.stale import report_stale
from pipelines.runtime.step import BulkStep, Step

LOG = logging.getLogger(__name__)


def run_intervals(steps: Sequence[Step], context: Context, intervals: Sequence[Interval], *, force: bool) -> None:
    """Do the steps for each interval: of many at once, where the steps can, else in turn. The first failure ends it: what was
    done stays, and is not done again.
    """
    if able := bulk_steps(steps, context, intervals):
        _run_in_bulk(able, context, intervals, force=force)
        return
    started = time.monotonic()
    for number, interval in enumerate(intervals):
        if len(intervals) > 1:
            span = context.shown(interval.start, interval.end)
            text = _progress(span, len(intervals), number, time.monotonic() - started)
            LOG.info(text, extra=BOLD)
        run_steps(steps, context.over(interval), force=force)


def run_steps(steps: Sequence[Step], context: Context, *, force: bool) -> None:
    """Do the steps for the context's interval; then do again what rows came late for, and name the windows that are older
    than what was cleaned.
    """
    for step in steps:
        execute(step, context, force=force)
    late = _redo_late(steps, context, None, ())
    if any(step.outdates for step in steps):
        report_stale(context, [context.interval, *late])


def _run_in_bulk(steps: Sequence[BulkStep], context: Context, intervals: Sequence[Interval], *, force: bool) -> None:
    failure: RingmillError | None = None
    for step in steps:
        try:
            execute_many(step, context, intervals, force=force)
        except (DataError, ExternalError) as error:
            intervals = _landed_of(context, intervals)
            if step == steps[-1] or not intervals:
                raise
            failure = error  # what has landed all the same is cleaned first
    _end_bulk(steps, context, intervals)
    if failure:
        raise failure


def _landed_of(context: Context, intervals: Sequence[Interval]) -> list[Interval]:
    landed = {(each.start, each.end) for each in overlapping(context, "ingest", intervals[0].start, intervals[-1].end)}
    return [interval for interval in intervals if bounds_of_interval(interval) in landed]


def _end_bulk(steps: Sequence[Step], context: Context, intervals: Sequence[Interval]) -> None:
    whole = spanning(context, intervals)
    late = _redo_late(steps, whole, Batch(whole, tuple(intervals)).replaced, intervals)
    if any(step.outdates for step in steps):
        report_stale(whole, [*intervals, *late])


def _redo_late(steps: Sequence[Step], context: Context, landed: Column | None, done: Sequence[Interval]) -> list[Interval]:
    """Do the steps anew for other intervals to which rows came late, which are returned.

    Of several intervals that were done at once `landed` selects their rows, and `done` are the intervals.
    """
    redone = [(step, interval) for step in steps if step.late for interval in step.late(context, landed, done)]
    for step, interval in redone:
        span = context.shown(interval.start, interval.end)
        LOG.warning(f"{step.name:>9}: rows came late for {span}, which is done again")
        run = context.again(interval)
        LOG_CONTEXT.run_id = run.run_id
        execute(step, run, force=False)
    LOG_CONTEXT.run_id = context.run_id
    return [interval for _, interval in redone]


def _progress(span: str, count: int, done: int, seconds: float) -> str:
    remaining = f", about {seconds / done * (count - done):,.0f} s left" if done else ""
    return f"interval {done + 1} of {count}: {span}{remaining}"
