"""A timestamp by the local clock and calendar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from functools import reduce
from typing import Literal

from pydantic import model_validator

from pipelines.features.kinds.base import Fitted, Kind, Raw
from pipelines.features.kinds.cyclic import circle_columns
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import Request, Stats, Train, presence
from pipelines.model import Day, TimeZone

TimePart = Literal["hour", "weekday", "month"]
EPOCH = date(1970, 1, 1)
SIZES = {"hour": 24, "weekday": 7, "month": 12}


def time_columns(name: str, parts: tuple[TimePart, ...], encode: str) -> tuple[str, ...]:
    """Sines and cosines, or ids, part by part."""
    columns = (f"{name}_{part}" for part in parts)
    return tuple(columns) if encode == "ids" else tuple(side for column in columns for side in circle_columns(column))


def holiday_columns(name: str, holidays: tuple[date, ...]) -> tuple[str, ...]:
    """Whether the day is one of the holidays, where there are any."""
    return (f"{name}_holiday",) if holidays else ()


class FittedTime(Fitted):
    """seconds since 1970 → parts of the local date and time, as sine and cosine (0 and 0 where missing) or as ids from 1 (0
    where missing), and 1 or 0: whether the day is a holiday.
    """

    kind: Literal["time"] = "time"
    parts: tuple[TimePart, ...]
    zone: str
    encode: Literal["cyclic", "ids"]
    holidays: tuple[date, ...] = ()

    @property
    def inputs(self) -> dict[str, Raw]:
        return {self.name: Raw("float64", is_time=True)}

    @property
    def numbers(self) -> tuple[str, ...]:
        circles = () if self.encode == "ids" else time_columns(self.name, self.parts, self.encode)
        return (*circles, *holiday_columns(self.name, self.holidays))

    @property
    def ids(self) -> dict[str, int]:
        if self.encode != "ids":
            return {}
        names = time_columns(self.name, self.parts, self.encode)
        return {name: SIZES[part] + 1 for name, part in zip(names, self.parts, strict=True)}

    def apply(self, rows: Rows) -> dict[str, Array]:
        local = rows.local_time(self.name, self.zone)
        present, columns = local.hour >= 0, [*self.ids, *self.numbers]
        values = []
        for part in self.parts:
            values += [getattr(local, part) + 1] if self.encode == "ids" else self._circle(rows, local, part, present)
        if self.holidays:
            # By `equal`: to Keras, == asks whether two tensors are the same one.
            days = [rows.cast(rows.ops.equal(local.day, (day - EPOCH).days), "float64") for day in self.holidays]
            holiday = reduce(rows.ops.maximum, days)
            values.append(rows.ops.where(present, holiday, rows.ops.zeros_like(holiday)))
        return dict(zip(columns, values, strict=True))

    def _circle(self, rows: Rows, local: Array, part: str, present: Array) -> list[Array]:
        angle = rows.cast(getattr(local, part), "float64") * (2 * math.pi / SIZES[part])
        zero = rows.ops.zeros_like(angle)
        return [rows.ops.where(present, side, zero) for side in (rows.ops.sin(angle), rows.ops.cos(angle))]


class Time(Kind):
    """A timestamp by the local clock and calendar. A missing one is 0 everywhere."""

    types = ("timestamp",)
    fitted = FittedTime
    parts: tuple[TimePart, ...] = ("hour", "weekday", "month")
    """Parts of the local time that become columns: hour (0 to 23), weekday (0 is Monday), month."""
    zone: TimeZone = "UTC"
    """Time zone of the clock and calendar."""
    encode: Literal["cyclic", "ids"] = "cyclic"
    """`cyclic` makes sine and cosine of each part, `ids` an id that the network embeds."""
    holidays: tuple[Day, ...] = ()
    """Local days on which the column `<name>_holiday` is 1, else 0. Without days there is no such column."""

    def output_columns(self, name: str) -> tuple[str, ...]:
        return (*time_columns(name, self.parts, self.encode), *holiday_columns(name, self.holidays))

    def statistics(self, name: str) -> Iterator[Request]:
        # No more: a day has one weekday, and a month one month, so its parts move from interval to interval by themselves.
        yield presence(name)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        train.profile(name)  # refuses one without a value
        time = FittedTime(name=name, parts=self.parts, zone=self.zone, encode=self.encode, holidays=self.holidays)
        yield time, time.stats(train.profiles)

    @model_validator(mode="after")
    def _some(self) -> Time:
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("parts names one twice")
        if not self.parts and not self.holidays:
            raise ValueError("neither parts nor holidays; expected some of hour, weekday, month, or days")
        return self
