"""Steps over one interval or many, and over those to which rows came late."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipelines.config import Interval
from pipelines.flows.clean import STEP as CLEAN
from pipelines.flows.context import Context, Step
from pipelines.flows.execute import execute
from pipelines.flows.landed import late_intervals


def run_intervals(steps: Sequence[Step], context: Context, intervals: Sequence[Interval], *, force: bool) -> None:
    """Do the steps for each interval in turn. The first failure ends it: what was done stays, and is not done again."""
    started = time.monotonic()
    for number, interval in enumerate(intervals):
        if len(intervals) > 1:
            context.console.print(_progress(intervals, number, time.monotonic() - started), style="bold", soft_wrap=True)
        run_steps(steps, context.over(interval), force=force)


def run_steps(steps: Sequence[Step], context: Context, *, force: bool) -> None:
    """Do the steps for the context's interval; then clean other intervals anew to which some of its rows belong."""
    for step in steps:
        execute(step, context, force=force)
    if CLEAN not in steps:
        return
    for interval in late_intervals(context):
        context.console.print(f"    clean: rows came late for {_shown(interval)}, which is cleaned anew", style="yellow")
        execute(CLEAN, context.over(interval), force=False)


def _progress(intervals: Sequence[Interval], done: int, seconds: float) -> str:
    left = f", about {seconds / done * (len(intervals) - done):,.0f} s left" if done else ""
    return f"interval {done + 1} of {len(intervals)}: {_shown(intervals[done])}{left}"


def _shown(interval: Interval) -> str:
    return f"{interval.start:%Y-%m-%d %H:%M} to {interval.end:%Y-%m-%d %H:%M}"
