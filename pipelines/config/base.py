"""What every section of a configuration shares."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from pipelines.config.lengths import parse_length
from pipelines.config.truth_values import apart
from schemas.vocabulary import is_zone

YEARS = (2, 9998)  # in which any time zone's time is one of the calendar's
ISO = "such as 2013-01-31 or 2013-01-31T06:00"


def _known_zone(name: str) -> str:
    if not is_zone(name) or name[:1] in "+-":
        raise ValueError(f"unknown time zone '{name}'; expected an IANA name such as America/New_York")
    return name


def _written_as_date(value: object) -> object:
    # Pydantic takes numbers for seconds since 1970: a year would be half an hour after midnight.
    if isinstance(value, int | float) or (isinstance(value, str) and not re.match(r"\s*\d{4}-\d", value)):
        raise ValueError(f"expected a date or a time, {ISO}")
    return value


def _in_calendar(value: T) -> T:
    if not YEARS[0] <= value.year <= YEARS[1]:
        raise ValueError(f"expected a year from {YEARS[0]} to {YEARS[1]}")
    return value


T = TypeVar("T", date, datetime)
Share = Annotated[float, Field(ge=0, le=1)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
Day = Annotated[date, BeforeValidator(_written_as_date), AfterValidator(_in_calendar)]
Moment = Annotated[datetime, BeforeValidator(_written_as_date), AfterValidator(_in_calendar)]


class Model(BaseModel):
    """Base of all configuration: immutable, and strict about keys and numbers, which are finite.

    A record of what was measured may hold others; it says so (`allow_inf_nan`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's, in which `true` is no number, and no number is true."""
        schema: CoreSchema = apart(handler(source))
        return schema


class Interval(Model):
    """A half-open span of time, [start, end), in the pipeline's own time zone where a value names none."""

    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        # Where one alone names its zone they are compared once the other is placed in the pipeline's.
        if (self.start.tzinfo is None) == (self.end.tzinfo is None) and _instant(self.start) >= _instant(self.end):
            raise ValueError(f"from ({self.start}) must be before to ({self.end})")
        return self

    def located(self, zone: str) -> Interval:
        """The same interval in a time zone, in which each bound is placed unless it carries a zone already."""
        place = ZoneInfo(zone)
        start, end = (bound if bound.tzinfo else bound.replace(tzinfo=place) for bound in (self.start, self.end))
        ordered = Interval(start=start, end=end)  # an error shows the bounds as they were given
        return Interval(start=ordered.start.astimezone(place), end=ordered.end.astimezone(place))

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


WHOLE = Interval(start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(9000, 1, 1, tzinfo=UTC))
"""The interval of a pipeline that declares none: all its data is landed, cleaned and read as a whole."""


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a day in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(zone))
