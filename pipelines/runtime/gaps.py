"""The parts of a window that no cleaned interval covers, each with the command that fills it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pipelines.runtime.context import Context
from pipelines.runtime.coverage import WrittenInterval

NAMED = 10


class Gap(NamedTuple):
    """A span of time that is not cleaned, and whether it has landed (then it is a whole interval of ingest)."""

    start: datetime
    end: datetime
    is_landed: bool


def uncovered(start: datetime, end: datetime, intervals: Sequence[WrittenInterval]) -> list[tuple[datetime, datetime]]:
    """The parts of a span that no interval covers, in order of time."""
    parts, reached = [], start
    for interval in sorted(intervals):
        if interval.start >= end:
            break
        if interval.start > reached:
            parts.append((reached, interval.start))
        reached = max(reached, interval.end)
    return [*parts, (reached, end)] if reached < end else parts


def gaps_of(start: datetime, end: datetime, cleaned: Sequence[WrittenInterval], landed: Sequence[WrittenInterval]) -> list[Gap]:
    """What of a span is not cleaned: the landed intervals that reach into such a part, and what of it has not landed."""
    gaps: set[Gap] = set()
    for lower, upper in uncovered(start, end, cleaned):
        within = [interval for interval in landed if interval.start < upper and lower < interval.end]
        gaps |= {Gap(interval.start, interval.end, is_landed=True) for interval in within}
        gaps |= {Gap(*part, is_landed=False) for part in uncovered(lower, upper, within)}
    return sorted(gaps)


def gaps_message(context: Context, by: str, gaps: Sequence[Gap]) -> str:
    """What to say of the gaps in the context's window: each part, and the commands that fill it."""
    lines = [f"  {context.shown(gap.start, gap.end)} {_what_fills(context, gap)}" for gap in gaps[:NAMED]]
    more = [f"  and {len(gaps) - NAMED:,} parts more"] if len(gaps) > NAMED else []
    window = context.shown(*context.bounds)
    head = f"{by}: parts of the window {window} are not cleaned; expected cleaned intervals that cover it."
    return "\n".join([f"{head} Run these, or read what is there with --allow-gaps:", *lines, *more])


def _what_fills(context: Context, gap: Gap) -> str:
    arguments = f"--config {context.config_path or 'conf/….yaml'} {context.arguments(gap.start, gap.end)}"
    if gap.is_landed:
        return f"is landed, not cleaned: jobs/clean.py {arguments}"
    return f"is not landed: jobs/ingest.py {arguments}, then jobs/clean.py {arguments}"
