"""Spans of time, which several sections of a configuration share."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from pipelines.config.lengths import parse_length
from pipelines.model import Model, Moment


class Interval(Model):
    """A half-open span of time, [start, end), in the pipeline's own time zone where a value names none."""

    start: Moment = Field(alias="from")
    """Start, included. A bound without a zone is in the pipeline's `timezone`."""
    end: Moment = Field(alias="to")
    """End, excluded."""

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        # Where one alone names its zone they are compared once the other is placed in the pipeline's.
        if (self.start.tzinfo is None) == (self.end.tzinfo is None) and _instant(self.start) >= _instant(self.end):
            raise ValueError(f"from ({self.start}) must be before to ({self.end})")
        return self

    def located(self, zone: str) -> Interval:
        """The same interval in a time zone, in which each bound is placed unless it carries a zone already."""
        local_zone = ZoneInfo(zone)
        start, end = (bound if bound.tzinfo else bound.replace(tzinfo=local_zone) for bound in (self.start, self.end))
        ordered = Interval(start=start, end=end)  # an error shows the bounds as they were given
        return Interval(start=ordered.start.astimezone(local_zone), end=ordered.end.astimezone(local_zone))

    @property
    def is_whole(self) -> bool:
        """Whether it is that of a pipeline which declares none."""
        return (self.start, self.end) == (WHOLE.start, WHOLE.end)

    def cut(self, every: str) -> list[Interval]:
        """The intervals of one length that make up this one: `every` is such as day, week, month, year, 6 hours or 2 days.

        Days and longer follow the calendar of the bounds' time zone. Raises ValueError when the length is not understood, or
        the interval is not a whole number of them.
        """
        count, unit = parse_length(every)
        bounds = [self.start]
        while _instant(bounds[-1]) < _instant(self.end):
            bounds.append(_after(self.start, count * len(bounds), unit))
        if _instant(bounds[-1]) != _instant(self.end):
            raise ValueError(f"{self.start} to {self.end} is not a whole number of '{every}'; the last would end {bounds[-1]}")
        return [Interval(start=start, end=end) for start, end in pairwise(bounds)]


def _instant(moment: datetime) -> datetime:
    """A moment in UTC: times of one zone are compared by its clock, which shows an hour twice when it goes back."""
    return moment.astimezone(UTC) if moment.tzinfo else moment


def _after(start: datetime, count: int, unit: str) -> datetime:
    if unit == "hour":
        return (start.astimezone(UTC) + timedelta(hours=count)).astimezone(start.tzinfo)
    if unit in ("day", "week"):
        return start + timedelta(days=count * (7 if unit == "week" else 1))  # of the calendar: the clock's hour stays
    months = start.month - 1 + count * (12 if unit == "year" else 1)
    return start.replace(year=start.year + months // 12, month=months % 12 + 1)


WHOLE = Interval(start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(2200, 1, 1, tzinfo=UTC))
"""The interval of a pipeline that declares none: all its data is landed, cleaned and read as a whole. Its bounds are such as
pandas can hold, whose times end in 2262.
"""


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a day in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(zone))
