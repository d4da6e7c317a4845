"""Ages in configurations and arguments: `26h`, `90 minutes`, `2 days`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(?:(m)(?:in|inutes?)?|(h)(?:ours?)?|(d)(?:ays?)?|(w)(?:eeks?)?)", re.ASCII)


def parse_age(text: object) -> timedelta:
    """An age from text such as 26h, 90 minutes or 2 days; raises ValueError for anything else, and for an age of nothing."""
    if isinstance(text, timedelta):
        return text
    matched = AGE.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if matched is None or matched.lastindex is None or float(matched[1]) == 0:
        raise ValueError("expected a number above 0 and minutes, hours, days or weeks, such as 26h or 2 days")
    return timedelta(**{UNITS[matched[matched.lastindex]]: float(matched[1])})


Age = Annotated[timedelta, BeforeValidator(parse_age), Field(description="age such as 26h, 90 minutes or 2 days")]
