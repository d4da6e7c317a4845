"""The clock changes of a time zone, as numbers that any engine can search."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

DAY = 24 * 3600
FIRST_YEAR, LAST_YEAR = 1900, 2100


@cache
def transitions(zone: str) -> tuple[list[int], list[int]]:
    """From which second since 1970 on a zone is how many seconds ahead of UTC, from the year 1900 to 2100.

    Times before and after are taken as if the first and the last offset held.
    """
    clock = ZoneInfo(zone)

    def ahead(second: int) -> int:
        offset = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).astimezone(clock).utcoffset()
        return round(offset.total_seconds()) if offset is not None else 0

    start, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, LAST_YEAR))
    since, offsets = [start], [ahead(start)]
    for day in range(start, end, DAY):
        if ahead(day + DAY) == offsets[-1]:
            continue
        low, high = day, day + DAY  # the clock changes somewhere after `low`, at `high` it has
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if ahead(middle) == offsets[-1] else (low, middle)
        since.append(high)
        offsets.append(ahead(high))
    return since, offsets
