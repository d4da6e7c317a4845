"""Times as messages and commands show them: in the pipeline's own time zone."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

from pipelines.config import Interval


def shown_span(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """A span of time for a message: `2013-01-01 00:00 to 2013-02-01 00:00`, by the zone's clock."""
    if Interval(start=start, end=end).is_whole:
        return "all data"
    return f"{start.astimezone(zone):%Y-%m-%d %H:%M} to {end.astimezone(zone):%Y-%m-%d %H:%M}"


def as_arguments(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """A span as a job's arguments: `--from 2013-01-01 --to 2013-02-01`, with clock times where a bound is no midnight."""
    if Interval(start=start, end=end).is_whole:
        return "without --from and --to"
    return f"--from {_argument(start, zone)} --to {_argument(end, zone)}"


def _argument(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    if local.fold:  # the clock shows this time twice, and without an offset it is the first
        return local.isoformat()
    clock = local.replace(tzinfo=None)
    return f"{clock:%Y-%m-%d}" if clock.time() == time() else clock.isoformat(timespec="auto" if clock.second else "minutes")
