"""What every section of a configuration shares."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone '{name}'; expected an IANA name such as America/New_York") from error
    return name


Share = Annotated[float, Field(ge=0, le=1)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]


class Model(BaseModel):
    """Base of all configuration: immutable, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Interval(Model):
    """A half-open span of time, [start, end), in the pipeline's own time zone where a value names none."""

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.start >= self.end:
            raise ValueError(f"from ({self.start}) must be before to ({self.end})")
        return self

    def located(self, zone: str) -> Interval:
        """The same interval with each bound placed in `zone` unless it carries a zone already."""
        start, end = (bound if bound.tzinfo else bound.replace(tzinfo=ZoneInfo(zone)) for bound in (self.start, self.end))
        return Interval(start=start, end=end)


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a day in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(zone))
