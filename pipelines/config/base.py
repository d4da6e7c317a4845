"""Spans of time, which several sections of a configuration share."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from pipelines.model import Model, Moment

LENGTH = re.compile(r"([1-9]\d{0,5})?\s*(hour|day|week|month|year)s?", re.ASCII)


class Interval(Model):
    """A half-open span of time, [start, end), in the pipeline's own time zone where a value names none."""

    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        # Where one alone names its zone they are compared once the other is placed in the pipeline's.
        if (self.start.tzinfo is None) == (self.end.tzinfo is None) and self.start >= self.end:
            raise ValueError(f"from ({self.start}) must be before to ({self.end})")
        return self

    def located(self, zone: str) -> Interval:
        """The same interval with each bound placed in `zone` unless it carries a zone already."""
        start, end = (bound if bound.tzinfo else bound.replace(tzinfo=ZoneInfo(zone)) for bound in (self.start, self.end))
        return Interval(start=start, end=end)

    def cut(self, every: str) -> list[Interval]:
        """The intervals of one length that make up this one: `every` is such as day, week, month, year, 6 hours or 2 days.

        Days and longer follow the calendar of the bounds' time zone. Raises ValueError when the length is not understood, or
        the interval is not a whole number of them.
        """
        found = LENGTH.fullmatch(every.strip())
        if not found:
            raise ValueError(f"unknown length '{every}'; expected a number and hours, days, weeks, months or years")
        count, unit = int(found[1] or 1), found[2]
        bounds = [self.start]
        while bounds[-1] < self.end:
            bounds.append(_after(self.start, count * len(bounds), unit))
        if bounds[-1] != self.end:
            raise ValueError(f"{self.start} to {self.end} is not a whole number of '{every}'; the last would end {bounds[-1]}")
        return [Interval(start=start, end=end) for start, end in pairwise(bounds)]


def _after(start: datetime, count: int, unit: str) -> datetime:
    if unit == "hour":
        return (start.astimezone(UTC) + timedelta(hours=count)).astimezone(start.tzinfo)
    if unit in ("day", "week"):
        return start + timedelta(days=count * (7 if unit == "week" else 1))  # of the calendar: the clock's hour stays
    months = start.month - 1 + count * (12 if unit == "year" else 1)
    return start.replace(year=start.year + months // 12, month=months % 12 + 1)


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a day in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(zone))
