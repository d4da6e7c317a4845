"""The last values of several columns of a series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.features.kinds.base import NUMBERS, Fitted, Kind, Raw, Tensor
from pipelines.features.kinds.fitting import bends, fit_numeric, raw_name, scaled_number
from pipelines.features.kinds.numeric import Numeric
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.scaling import Scaling, scaled
from pipelines.features.kinds.statistics import Request, Stats, Train, number
from schemas.contract import ColumnType


def channel_column(sequence: str, column: str) -> str:
    """The array of one column of a sequence, raw and scaled."""
    return f"{sequence}_{column}"


class FittedChannel(Fitted, Scaling):
    """One column of a sequence: the last `length` values of the column `of`, oldest first, each scaled."""

    kind: Literal["channel"] = "channel"
    sequence: str
    of: str
    length: int

    @property
    def inputs(self) -> dict[str, Raw]:
        return {self.name: Raw("float64", self.length, of=self.of)}

    @property
    def array(self) -> ColumnType:
        return "array<float>"

    @property
    def tensor(self) -> Tensor:
        return Tensor("sequence", self.sequence, (self.name,), (self.length, 1), "float32")

    def statistics(self) -> Request:
        return scaled_number(self.name, self.of, self)

    @property
    def imputed(self) -> float:
        return self.fill

    def apply(self, rows: Rows) -> dict[str, Array]:
        values, missing = rows.series(self.name, self.length)
        return {self.name: scaled(values, missing, [self], rows.ops)}


class Sequence(Kind):
    """The last values of several columns of a series, up to and with the row's own: see `features.windows`."""

    types = NUMBERS
    fitted = FittedChannel
    of: Annotated[dict[str, Numeric], Field(min_length=1)]
    """Columns of the series, each with the settings of a numeric feature; `indicator` is refused."""
    length: Annotated[int, Field(ge=2, le=10_000)]
    """Rows of a window, the row itself included."""

    def columns(self, name: str) -> tuple[str, ...]:
        return tuple(self.of)

    def output_columns(self, name: str) -> tuple[str, ...]:
        return tuple(channel_column(name, column) for column in self.of)

    def statistics(self, name: str) -> Iterator[Request]:
        # Of the rows' own values: each moment of a series counts once, not once a window in which it lies.
        for column, numeric in self.of.items():
            channel = channel_column(name, column)
            yield scaled_number(channel, column, numeric)
            if bends(numeric):
                yield number(raw_name(channel), column)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        for column, numeric in self.of.items():
            channel = channel_column(name, column)
            scaling, stats = fit_numeric(channel, numeric, train)
            yield FittedChannel(name=channel, sequence=name, of=column, length=self.length, **scaling.model_dump()), stats

    @model_validator(mode="after")
    def _no_indicator(self) -> Sequence:
        if wrong := sorted(name for name, numeric in self.of.items() if numeric.indicator):
            raise ValueError(f"a column of a sequence has no indicator: {', '.join(wrong)}")
        return self
