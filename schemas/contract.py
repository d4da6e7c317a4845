"""The vocabulary of contracts: what a table's columns, keys and rules promise. Plain data, no engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ColumnType = Literal[
    "boolean", "int", "bigint", "float", "double", "string", "date", "timestamp", "array<string>", "array<double>"
]


class ContractError(ValueError):
    """Raised when a contract contradicts itself: an unknown column in a key, a column declared twice."""


@dataclass(frozen=True)
class Column:
    """One column: its SQL type, its unit where it has one, and the bounds of a valid value (both included)."""

    name: str
    type: ColumnType
    unit: str | None = None
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    pattern: str | None = None
    comment: str = ""


@dataclass(frozen=True)
class Rule:
    """A promise about a row, as SQL that is true of a good one; a row for which it is false is refused."""

    name: str
    holds: str


@dataclass(frozen=True)
class Table:
    """A table's contract.

    `key` names a row; of several rows with one key the greatest by `latest_by` wins. `event_time` is the timestamp that
    places a row in an interval; a table without one belongs whole to the interval in which it was landed.
    Raises ContractError when it names a column that it does not declare.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    latest_by: tuple[str, ...] = ()
    event_time: str | None = None
    rules: tuple[Rule, ...] = ()
    null_tokens: tuple[str, ...] = ("", "NA")
    partition_by: tuple[str, ...] = ()
    sorted_by: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.column_names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ContractError(f"contract {self.name}: declared twice: {', '.join(repeated)}. Keep one of each.")
        event_time = (self.event_time,) if self.event_time else ()
        used = {*self.key, *self.latest_by, *self.partition_by, *self.sorted_by, *event_time}
        unknown = sorted(used - set(names))
        if unknown:
            raise ContractError(
                f"contract {self.name}: unknown column {', '.join(unknown)}; expected one of {', '.join(names)}. "
                f"Declare it in columns, or mend the key, latest_by, partition_by, sorted_by or event_time."
            )

    @property
    def column_names(self) -> tuple[str, ...]:
        """The declared columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The declared column of that name; raises ContractError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(f"contract {self.name}: unknown column {name}; expected one of {', '.join(self.column_names)}.")
