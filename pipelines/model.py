"""The base of everything that is validated: sections of a configuration, and records that are kept as JSON."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from pipelines.truth_values import apart
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
TimeZone = Annotated[str, AfterValidator(_known_zone), Field(description="time zone such as America/New_York")]
Day = Annotated[
    date, BeforeValidator(_written_as_date), AfterValidator(_in_calendar), Field(description="day such as 2013-01-31")
]
Moment = Annotated[
    datetime,
    BeforeValidator(_written_as_date),
    AfterValidator(_in_calendar),
    Field(description=f"day or time, {ISO}"),
]


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
