"""The section `features`: how rows become numbers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.config.base import Model

Imputer = Literal["mean", "median"] | float
Scaler = Literal["zscore", "minmax", "robust", "none"]


class Numeric(Model):
    """A number: what stands in for a missing one, an optional log1p or clip first, how it is scaled."""

    impute: Imputer = "median"
    clip: tuple[float, float] | None = None
    log1p: bool = False
    scale: Scaler = "zscore"


class Categorical(Model):
    """A word: ids by frequency, 0 for the unknown; rarer than `min_count` in the train split is unknown too."""

    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000


class Cyclic(Model):
    """A number that comes round again every `period`: its sine and cosine."""

    period: Annotated[float, Field(gt=0)]


class TimeSplit(Model):
    """Train before `validation_from`, validation before `test_from`, test from there on."""

    validation_from: date
    test_from: date

    @model_validator(mode="after")
    def _ordered(self) -> TimeSplit:
        if self.validation_from >= self.test_from:
            raise ValueError(f"validation_from ({self.validation_from}) must be before test_from ({self.test_from})")
        return self


class FeaturesConfig(Model):
    """How rows become numbers: the source whose rows are the examples, the function that joins and derives, the split, and
    one declared spec of features.
    """

    rows_of: str
    derive: str
    parameters: dict[str, int | float | str] = {}
    split: TimeSplit
    numeric: dict[str, Numeric] = {}
    categorical: dict[str, Categorical] = {}
    cyclic: dict[str, Cyclic] = {}

    @model_validator(mode="after")
    def _named_once(self) -> FeaturesConfig:
        names = [*self.numeric, *self.categorical, *self.cyclic]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"declared under two kinds: {', '.join(repeated)}")
        if not names:
            raise ValueError("no feature is declared; expected at least one under numeric, categorical or cyclic")
        return self
