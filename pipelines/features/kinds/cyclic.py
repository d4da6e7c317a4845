"""A number that comes round again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipelines.features.kinds.base import NUMBERS, Fitted, Kind
from pipelines.features.kinds.numeric import Finite
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.statistics import MEDIAN, Request, Stats, Train, number


def circle_columns(name: str) -> tuple[str, str]:
    """The two columns of a number on a circle: its sine and its cosine."""
    return f"{name}_sin", f"{name}_cos"


class FittedCyclic(Fitted):
    """x → sin(2πx / period), cos(2πx / period)."""

    kind: Literal["cyclic"] = "cyclic"
    fill: float
    period: float

    @property
    def numbers(self) -> tuple[str, ...]:
        return circle_columns(self.name)

    def statistics(self) -> Request:
        return number(self.name)

    def apply(self, rows: Rows) -> dict[str, Array]:
        values, missing = rows.numbers([self.name])
        angle = rows.ops.where(missing, np.float64(self.fill), values) * (2 * math.pi / self.period)
        return dict(zip(self.numbers, (rows.ops.sin(angle), rows.ops.cos(angle)), strict=True))


class Cyclic(Kind):
    """A number that comes round again: its sine and cosine."""

    types = NUMBERS
    fitted = FittedCyclic
    period: Annotated[Finite, Field(gt=0)]
    """After how much the number comes round again, in its own unit: 360 for degrees."""

    def output_columns(self, name: str) -> tuple[str, ...]:
        return circle_columns(name)

    def statistics(self, name: str) -> Iterator[Request]:
        yield number(name)

    def leak(self, name: str) -> Request:
        return number(name)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        percentiles = train.number(name).percentiles or ()
        cyclic = FittedCyclic(name=name, fill=percentiles[MEDIAN], period=self.period)
        yield cyclic, cyclic.stats(train.profiles)
