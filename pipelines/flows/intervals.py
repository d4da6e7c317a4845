"""Steps over one interval or many, and over those to which rows came late."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipelines.config import Interval
from pipelines.flows.clean import STEP as CLEAN
from pipelines.flows.context import Context, Step
from pipelines.flows.execute import execute
from pipelines.flows.landed import late_intervals
from pipelines.flows.replay import STEP as REPLAY
from pipelines.flows.stale import report_stale


def run_intervals(steps: Sequence[Step], context: Context, intervals: Sequence[Interval], *, force: bool) -> None:
    """Do the steps for each interval in turn. The first failure ends it: what was done stays, and is not done again."""
    started = time.monotonic()
    for number, interval in enumerate(intervals):
        if len(intervals) > 1:
            span = context.shown(interval.start, interval.end)
            text = _progress(span, len(intervals), number, time.monotonic() - started)
            context.console.print(text, style="bold", soft_wrap=True)
        run_steps(steps, context.over(interval), force=force)


def run_steps(steps: Sequence[Step], context: Context, *, force: bool) -> None:
    """Do the steps for the context's interval; then clean other intervals anew to which some of its rows belong, and name the
    windows whose features are older than what was cleaned.
    """
    for step in steps:
        execute(step, context, force=force)
    if CLEAN not in steps and REPLAY not in steps:
        return
    late = late_intervals(context) if CLEAN in steps else []
    for interval in late:
        span = context.shown(interval.start, interval.end)
        context.console.print(f"    clean: rows came late for {span}, which is cleaned anew", style="yellow")
        execute(CLEAN, context.over(interval), force=False)
    report_stale(context, [context.interval, *late])


def _progress(span: str, count: int, done: int, seconds: float) -> str:
    left = f", about {seconds / done * (count - done):,.0f} s left" if done else ""
    return f"interval {done + 1} of {count}: {span}{left}"
