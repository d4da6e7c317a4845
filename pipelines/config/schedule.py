"""The section `schedule`: when a scheduler runs the pipeline, night by night, and when it trains. `dags/` reads it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from pipelines.config.ages import Age, parse_age
from pipelines.config.lengths import Length, parse_length
from pipelines.model import Day, Model, TimeZone

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 7, WEEKDAYS),
)
PART = re.compile(r"(?:\*|(\w+)-(\w+))(?:/[1-9]\d?)?|(\w+)", re.ASCII)


def check_cron(cron: str) -> str:
    """The cron expression itself; raises ValueError when it is none of five fields, or runs more than once a day."""
    fields = cron.split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"'{cron}' has {len(fields)} fields; expected five, such as 0 3 * * * for each night at three")
    for field, (name, low, high, names) in zip(fields, FIELDS, strict=True):
        for part in field.split(","):
            _check_part(part, name, low, high, names)
    if not (fields[0].isdecimal() and fields[1].isdecimal()):
        raise ValueError(
            f"'{cron}' runs more than once a day; expected one minute and one hour, such as 0 3 * * *, since the intervals of "
            f"a schedule are whole days"
        )
    return cron


def _check_part(part: str, name: str, low: int, high: int, names: tuple[str, ...]) -> None:
    parsed = PART.fullmatch(part)
    bounds = [_number(text, low, names) for text in parsed.groups() if text] if parsed else [None]
    numbers = [bound for bound in bounds if bound is not None and low <= bound <= high]
    if len(numbers) != len(bounds) or numbers != sorted(numbers):
        words = f" or {names[0]} to {names[-1]}" if names else ""
        raise ValueError(f"'{part}' is no {name}; expected *, a number from {low} to {high}{words}, or a range such as 1-5")


def _number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.lower() in names:
        return names.index(text.lower()) + low
    return int(text) if text.isdecimal() else None


def _check_window(window: str) -> str:
    if parse_length(window)[1] == "hour":
        raise ValueError(f"'{window}' is no window of whole days; expected such as 28 days, 4 weeks or 3 months")
    return window


Cron = Annotated[str, AfterValidator(check_cron), Field(description="cron expression such as `0 3 * * *`")]
Window = Annotated[Length, AfterValidator(_check_window)]


class TrainingSchedule(Model):
    """When a model is trained (features, train, evaluate, publish), and on how many days before."""

    cron: Cron
    """When a training is due, in the schedule's time zone. It waits until the last night of its window is cleaned."""
    window: Window
    """The trailing window: a training reads so many days, up to the start of the day on which it is due."""
    start: Day | None = None
    """No window ends before this day. Without it: the first day on which the nights since `schedule.start` fill a window."""


class ScheduleConfig(Model):
    """When Airflow runs the pipeline ([operations.md](operations.md#schedule)): a DAG for the nights, and one for training."""

    cron: Cron
    """When a night (ingest, clean, predict) is due, at most once a day. Its interval is the days since the one before."""
    timezone: TimeZone | None = None
    """Time zone of `cron` and of the days. Without it: the pipeline's `timezone`."""
    start: Day
    """The first day that a night works on."""
    end: Day | None = None
    """The day after the last one. Without it the schedule never ends."""
    catch_up: bool = True
    """Whether intervals that are past already are run too, one after the other. With `false` only the newest one is."""
    owner: str = Field(default="ringmill", min_length=1)
    """Whom the scheduler shows as the owner of the DAGs."""
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    """How often a task is tried again, unless it ended with exit code 2, 3 or 4: the same inputs would fail the same way."""
    retry_delay: Age = parse_age("5 minutes")
    """How long a scheduler waits before the first retry. It doubles with each retry, up to one hour."""
    training: TrainingSchedule | None = None
    """When a model is trained. Without it there is no DAG for training."""

    @model_validator(mode="after")
    def _in_order(self) -> ScheduleConfig:
        if self.end and self.end <= self.start:
            raise ValueError(f"end ({self.end}) must be after start ({self.start})")
        return self
