"""How the examples are split: by time, by entity, or by a column of theirs."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pipelines.config.lengths import Length, before
from pipelines.model import Day, Model


class TimeSplit(Model):
    """By event time: first train, then validation, then test."""

    by: Literal["time"] = "time"
    """Names the way to split."""
    validation_from: Day | None = None
    """First day of validation, in the pipeline's `timezone`. Earlier rows are train. It is given with `test_from`, or both
    lengths are.
    """
    test_from: Day | None = None
    """First day of test, given with `validation_from`."""
    validation: Length | None = None
    """Length of validation, which ends where test begins. It is given with `test`, or both days are."""
    test: Length | None = None
    """Length of test, which ends with the window. It is given with `validation`."""
    embargo_hours: Annotated[float, Field(ge=0, le=876_000)] = 0
    """Hours before validation and before test in which rows have no label, since theirs lies in the next split. They have to
    cover the horizon.
    """

    @model_validator(mode="after")
    def _ordered(self) -> TimeSplit:
        bounds = {name for name in ("validation_from", "test_from", "validation", "test") if getattr(self, name) is not None}
        if bounds not in ({"validation_from", "test_from"}, {"validation", "test"}):
            raise ValueError(
                f"a split by time has {', '.join(sorted(bounds)) or 'no bound'}; expected validation_from and test_from, which "
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
    """All rows of one entity are in one split: a hash of its key columns decides which."""

    by: Literal["entity"]
    """Names the way to split."""
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns of the examples that identify an entity."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the entities, not of rows."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the entities, not of rows. What remains is train."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    """Seed of the hash: another one gives another split."""

    @model_validator(mode="after")
    def _leaves_train_rows(self) -> EntitySplit:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation ({self.validation}) and test ({self.test}) leave nothing to train on")
        return self

    def __str__(self) -> str:
        return f"by {', '.join(self.columns)}: {self.validation:.0%} of them validation, {self.test:.0%} test"


class ColumnSplit(Model):
    """A column of the examples decides."""

    by: Literal["column"]
    """Names the way to split."""
    column: str
    """Column of the examples that is train, validation or test."""

    def __str__(self) -> str:
        return f"by the column {self.column}"


def _split_by(section: object) -> str:
    return str(section.get("by", "time") if isinstance(section, dict) else getattr(section, "by", "time"))


Split = Annotated[
    Annotated[TimeSplit, Tag("time")] | Annotated[EntitySplit, Tag("entity")] | Annotated[ColumnSplit, Tag("column")],
    Discriminator(_split_by),
]
