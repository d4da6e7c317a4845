"""A number that is imputed, clipped, taken the logarithm of and scaled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipelines.features.kinds.base import NUMBERS, Block, Fitted, Kind
from pipelines.features.kinds.fitting import bends, fit_numeric, raw_name, scaled_number
from pipelines.features.kinds.rows import Array, Rows
from pipelines.features.kinds.scaling import Scaling, scaled
from pipelines.features.kinds.statistics import Request, Stats, Train, number

Finite = Annotated[float, Field(allow_inf_nan=False)]
Imputer = Literal["mean", "median"] | Finite
Scaler = Literal["zscore", "minmax", "robust", "none"]


def number_columns(name: str, indicator: bool) -> tuple[str, ...]:
    """The number, and its indicator."""
    return (name, f"{name}_missing") if indicator else (name,)


class FittedNumeric(Fitted, Scaling):
    """A scaled number, and with an indicator 1 or 0: whether it was missing."""

    kind: Literal["numeric"] = "numeric"
    indicator: bool = False

    @property
    def numbers(self) -> tuple[str, ...]:
        return number_columns(self.name, self.indicator)

    def statistics(self) -> Request:
        return scaled_number(self.name, self.name, self)

    @property
    def imputed(self) -> float:
        return self.fill

    def apply(self, rows: Rows) -> dict[str, Array]:
        return {name: block.values for block in self.blocks([self], rows) for name in block.names}

    @classmethod
    def blocks(cls, features: Sequence[Self], rows: Rows) -> Iterator[Block]:
        """As many numbers side by side as the rows take: a graph has as many operations for thousands as for one."""
        for first in range(0, len(features), rows.side_by_side):
            some = features[first : first + rows.side_by_side]
            values, missing = rows.numbers([feature.name for feature in some])
            yield Block(tuple(feature.name for feature in some), scaled(values, missing, some, rows.ops))
            flagged = [at for at, feature in enumerate(some) if feature.indicator]
            if flagged:
                flags = rows.cast(missing, "float64")
                if len(some) > 1:
                    flags = rows.ops.take(flags, np.array(flagged, np.int32), axis=-1)
                names = tuple(some[at].numbers[1] for at in flagged)
                yield Block(names, flags if len(names) > 1 or len(some) == 1 else flags[:, 0])


class Numeric(Kind):
    """A number: imputed, then clipped, put on a logarithmic scale, and scaled."""

    types = NUMBERS
    fitted = FittedNumeric
    impute: Imputer = "median"
    """What a missing value becomes: the mean or median of the train split, or a number."""
    clip: tuple[Finite, Finite] | None = None
    """Least and greatest value; what lies beyond becomes the nearer one, before `log1p` and `scale`."""
    log1p: bool = False
    """Whether log(1 + value) is taken, before `scale`."""
    scale: Scaler = "zscore"
    """By the train split: `zscore` to mean 0 and deviation 1, `minmax` to 0 to 1, `robust` to median 0 and quartiles 1 apart.
    """
    indicator: bool = False
    """Whether a second column, `<name>_missing`, is 1 where the value was missing, else 0."""

    def output_columns(self, name: str) -> tuple[str, ...]:
        return number_columns(name, self.indicator)

    def statistics(self, name: str) -> Iterator[Request]:
        yield scaled_number(name, name, self)
        if bends(self):
            yield number(raw_name(name), name)

    def leak(self, name: str) -> Request:
        return number(name)

    def fit(self, name: str, train: Train) -> Iterator[tuple[Fitted, Stats]]:
        scaling, stats = fit_numeric(name, self, train)
        yield FittedNumeric(name=name, indicator=self.indicator, **scaling.model_dump()), stats

    @model_validator(mode="after")
    def _clips_to_a_span(self) -> Numeric:
        if self.clip and self.clip[0] >= self.clip[1]:
            raise ValueError(f"clip is from {self.clip[0]:g} to {self.clip[1]:g}; expected a low that is below its high")
        return self
