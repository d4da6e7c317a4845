"""Lengths of time by the calendar, such as `30 days`, and the moments that lie so far before another."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

LENGTH = re.compile(r"([1-9]\d{0,5})?\s*(hour|day|week|month|year)s?", re.ASCII)


def parse_length(text: str) -> tuple[int, str]:
    """A length's count and unit; raises ValueError when it is no length."""
    parsed = LENGTH.fullmatch(text.strip())
    if not parsed:
        raise ValueError(f"unknown length '{text}'; expected a number and hours, days, weeks, months or years")
    return int(parsed[1] or 1), parsed[2]


def _known_length(text: str) -> str:
    parse_length(text)
    return text


Length = Annotated[str, AfterValidator(_known_length), Field(description="length such as 30 days")]


def before(moment: datetime, length: str) -> datetime:
    """The moment that lies a length before another, by the calendar of its time zone: of days and longer the clock's hour
    stays, and of a month that has no such day its last one is taken.
    """
    count, unit = parse_length(length)
    if unit == "hour":
        return (moment.astimezone(UTC) - timedelta(hours=count)).astimezone(moment.tzinfo)
    if unit in ("day", "week"):
        return moment - timedelta(days=count * (7 if unit == "week" else 1))
    months = moment.year * 12 + moment.month - 1 - count * (12 if unit == "year" else 1)
    year, month = months // 12, months % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def check_period(every: str) -> str:
    """The length itself, where the calendar is made of such periods; raises ValueError when it is not, as for 5 days."""
    count, unit = parse_length(every)
    whole = {"hour": 24, "day": 1, "week": 1, "month": 12, "year": 1}[unit]
    if whole % count:
        raise ValueError(
            f"'{every}' is no period of the calendar; expected such as hour, 6 hours, day, week, month, 3 months, year"
        )
    return every


def begins_period(moment: datetime, every: str) -> bool:
    """Whether a period of the calendar begins at a moment, by the clock of its zone: weeks on Monday, years in January."""
    count, unit = parse_length(every)
    if (moment.minute, moment.second, moment.microsecond) != (0, 0, 0):
        return False
    if unit == "hour":
        return moment.hour % count == 0
    first = {"day": True, "week": moment.weekday() == 0, "month": moment.day == 1, "year": (moment.month, moment.day) == (1, 1)}
    return moment.hour == 0 and first[unit] and (unit != "month" or (moment.month - 1) % count == 0)
