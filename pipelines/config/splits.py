"""How the examples are split: by time, by entity, or by a column of theirs."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipelines.config.lengths import Length, before
from pipelines.model import Day, Model


class TimeSplit(Model):
    """Train before `validation_from`, validation before `test_from`, test from there on. Rows of the last `embargo_hours` of
    train and of validation are left out: where a label lies ahead of its row, they would tell of the next split.

    In the place of these days lengths may be given: `test` is so long and ends with the window, `validation` so long and ends
    where test begins.
    """

    by: Literal["time"] = "time"
    validation_from: Day | None = None
    test_from: Day | None = None
    validation: Length | None = None
    test: Length | None = None
    embargo_hours: Annotated[float, Field(ge=0, le=876_000)] = 0

    @model_validator(mode="after")
    def _ordered(self) -> TimeSplit:
        given = {name for name in ("validation_from", "test_from", "validation", "test") if getattr(self, name) is not None}
        if given not in ({"validation_from", "test_from"}, {"validation", "test"}):
            raise ValueError(
                f"a split by time has {', '.join(sorted(given)) or 'no bound'}; expected validation_from and test_from, which "
                f"are days, or validation and test, which are lengths such as 60 days and end with the window"
            )
        if self.validation_from and self.test_from and self.validation_from >= self.test_from:
            raise ValueError(f"validation_from ({self.validation_from}) must be before test_from ({self.test_from})")
        return self

    @property
    def is_relative(self) -> bool:
        """Whether its bounds follow from the window's end."""
        return self.test is not None

    def bounds(self, end: datetime) -> tuple[datetime, datetime]:
        """Where validation begins, and where test does, in a window that ends at `end`, in that time's zone."""
        if self.validation is not None and self.test is not None:
            test_from = before(end, self.test)
            return before(test_from, self.validation), test_from
        assert self.validation_from
        assert self.test_from
        zone = end.tzinfo
        return datetime.combine(self.validation_from, time(), zone), datetime.combine(self.test_from, time(), zone)

    def __str__(self) -> str:
        if self.is_relative:
            return f"by time: test the last {self.test}, validation the {self.validation} before"
        return f"by time: validation from {self.validation_from}, test from {self.test_from}"


class EntitySplit(Model):
    """All rows of one entity are in one split: which, a hash of its key columns says. Shares are of the entities."""

    by: Literal["entity"]
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0

    @model_validator(mode="after")
    def _some_left(self) -> EntitySplit:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation ({self.validation}) and test ({self.test}) leave nothing to train on")
        return self

    def __str__(self) -> str:
        return f"by {', '.join(self.columns)}: {self.validation:.0%} of them validation, {self.test:.0%} test"


class ColumnSplit(Model):
    """A column of the examples says it: train, validation or test."""

    by: Literal["column"]
    column: str

    def __str__(self) -> str:
        return f"by the column {self.column}"


def _split_by(given: object) -> str:
    return str(given.get("by", "time") if isinstance(given, dict) else getattr(given, "by", "time"))


Split = Annotated[
    Annotated[TimeSplit, Tag("time")] | Annotated[EntitySplit, Tag("entity")] | Annotated[ColumnSplit, Tag("column")],
    Discriminator(_split_by),
]
