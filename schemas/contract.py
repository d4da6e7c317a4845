"""The vocabulary of contracts: what a table's columns, keys and rules promise. Plain data, no engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal

from schemas.clauses import Conversion, Freshness, Outliers, Reference, Rule, Severity, Volume
from schemas.promises import table_problems
from schemas.vocabulary import column_problems

ColumnType = Literal[
    "boolean", "int", "bigint", "float", "double", "string", "date", "timestamp", "array<string>", "array<double>",
    "array<float>", "array<int>",
    "map<string,string>",
]  # fmt: skip
__all__ = [
    "LANDING_ORDER", "VALID", "Column", "ColumnType", "ContractError", "Conversion", "Freshness", "Outliers", "Reference",
    "Rule", "Severity", "Table", "Volume",
]  # fmt: skip


LANDING_ORDER = "landing_order"
"""What `latest_by` may name beside columns: of rows with one key the one that landed last stays, whatever its values."""


VALID = ("valid_from", "valid_to")
"""Since when a snapshot's row was valid (included; none: since ever) and until when (excluded; none: it still is)."""


class ContractError(ValueError):
    """Raised when a contract contradicts itself: an unknown column in a key, a column declared twice."""


def _refuse(kind: str, name: object, problems: list[str]) -> None:
    """Raise ContractError when there are problems, each a sentence, with what is declared."""
    if problems:
        raise ContractError(f"{kind} {name if str(name).strip() else repr(name)}: {' '.join(problems)}")


@dataclass(frozen=True)
class Column:
    """One column: what a valid value is, and how it is received. Bounds are included.

    A value that cannot be read, or is missing where it must not be, quarantines its row.
    """

    name: str
    """Name of the column, as the source gives it or `rename` makes it."""
    type: ColumnType
    """SQL type of the clean column."""
    unit: str | None = None
    """Unit of the values, as tables and model schemas show it."""
    nullable: bool = True
    """Whether a value may be missing. Where it may not, a row without one is quarantined."""
    minimum: float | None = None
    """Least valid value."""
    maximum: float | None = None
    """Greatest valid value."""
    allowed: tuple[str, ...] = ()
    """The only valid values, as text. Empty allows all."""
    pattern: str | None = None
    """Java's regular expression that matches within a valid value; `^` and `$` hold it to the whole."""
    comment: str = ""
    """What the column means, as tables and model schemas show it."""
    severity: Severity = "quarantine"
    """What a value beyond minimum, maximum, allowed or pattern does: quarantine its row, only count (`warn`), or fail the run.
    """
    spaces: Literal["trim", "collapse", "keep"] = "trim"
    """White space in received text: cut at both ends, besides collapsed to one space for each run, or kept."""
    case: Literal["upper", "lower"] | None = None
    """Case in which text is put, before `aliases`."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """By received text, what it is to be called."""
    decimal: Literal[".", ","] = "."
    """Mark before a number's decimals."""
    received: Conversion | None = None
    """Conversion from the unit in which numbers are received."""
    outliers: Outliers | None = None
    """How outliers are recognized, and what becomes of them."""
    zone: str | None = None
    """Time zone, or offset such as +02:00, of timestamps that name none. Without it they are UTC."""
    format: str | None = None
    """How a date or timestamp is written, in Spark's pattern letters. Without it ISO."""
    repeated_hour: Literal["earlier", "later", "quarantine"] = "earlier"
    """Which of two instants a local time is when clocks go back, or that its row is refused. Needs `zone`."""
    personal: Literal["hash", "drop"] | None = None
    """With `hash` text leaves the raw table only as a keyed hash, with `drop` the column does not leave it."""
    from_history: bool = False
    """Of EXAMPLES: the column is computed from other rows, so callers of a model have to send it."""

    def __post_init__(self) -> None:
        _refuse("column", self.name, column_problems(self))

    @property
    def flag(self) -> str | None:
        """The name of the column that flags this one's outliers, where the contract wants them flagged."""
        return f"{self.name}_outlier" if self.outliers and self.outliers.action == "flag" else None


@dataclass(frozen=True)
class Table:
    """A table's contract. Raises ContractError when it contradicts itself."""

    name: str
    """Name of the source, which its tables are called by: letters of a to z, digits and _."""
    columns: tuple[Column, ...]
    """The columns, in order."""
    key: tuple[str, ...] = ()
    """Columns that identify a row. Without them rows that equal each other in every column count once."""
    latest_by: tuple[str, ...] = ()
    """Of several rows with one key the greatest by these columns stays, ties falling to a hash of the values. `landing_order`
    lets the one stay that landed last.
    """
    unique: tuple[tuple[str, ...], ...] = ()
    """Further groups of columns whose values no two clean rows share."""
    event_time: str | None = None
    """Timestamp by which a row belongs to an interval: the table holds events. Without it the table is a snapshot, complete at
    each landing.
    """
    history: bool = False
    """Whether a window reads all snapshots that were valid during it, each with `valid_from` and `valid_to`, instead of the
    newest. Refused with an `event_time`.
    """
    rules: tuple[Rule, ...] = ()
    """Promises about rows, across columns."""
    references: tuple[Reference, ...] = ()
    """Values that a clean row of another source has to have."""
    freshness: Freshness | None = None
    """Promise about the newest row of an interval. Needs `event_time`."""
    volume: Volume | None = None
    """Promise about the number of rows of an interval."""
    null_tokens: tuple[str, ...] = ("", "NA")
    """Texts that stand for a missing value."""
    partition_by: tuple[str, ...] = ()
    """Partition columns of ringmill's own tables. A source's raw and clean tables are partitioned by interval instead."""
    one_partition: bool = False
    """Whether all rows of a write are of one partition, so that Spark need not sort them. Of ringmill's own tables."""
    sorted_by: tuple[str, ...] = ()
    """Columns by which rows are sorted within a file. Of ringmill's own tables."""
    properties: dict[str, str] = field(default_factory=dict)
    """Iceberg's table properties, set when the table is created. Of ringmill's own tables."""

    def __post_init__(self) -> None:
        _refuse("contract", self.name, table_problems(self))
        names = self.column_names
        repeated = sorted(name for name, times in Counter(names).items() if times > 1)
        if repeated:
            raise ContractError(f"contract {self.name}: declared twice: {', '.join(repeated)}. Keep one of each.")
        event_time = (self.event_time,) if self.event_time else ()
        several = (*(reference.columns for reference in self.references), *self.unique)
        used = {*self.key, *self.latest_by, *self.partition_by, *self.sorted_by, *event_time, *chain(*several)}
        unknown = sorted(used - {*names, *((LANDING_ORDER,) if self.in_landing_order else ())})
        if unknown:
            raise ContractError(
                f"contract {self.name}: unknown column {', '.join(unknown)}; expected one of {', '.join(names)}. "
                f"Declare it in columns, or fix the key, latest_by, unique, references, partition_by, sorted_by or event_time."
            )
        dropped = sorted(used & {column.name for column in self.columns if column.personal == "drop"})
        if dropped:
            raise ContractError(
                f"contract {self.name}: {', '.join(dropped)} is personal and dropped, so nothing can be told by it. "
                f"Hash it, or take it out of the key, latest_by, unique and references."
            )
        if self.history and (self.event_time or set(VALID) & set(names)):
            raise ContractError(
                f"contract {self.name}: history is of a snapshot, whose rows get the columns {' and '.join(VALID)}; expected "
                f"no event_time, and no columns of these names. Leave history out, or rename the columns."
            )
        if self.freshness and not self.event_time:
            raise ContractError(f"contract {self.name}: freshness needs an event_time. Declare one, or leave freshness out.")

    @property
    def in_landing_order(self) -> bool:
        """Whether the order in which rows landed decides which one of a key stays."""
        return LANDING_ORDER in self.latest_by

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """The declared columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The declared column of that name; raises ContractError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(f"contract {self.name}: unknown column {name}; expected one of {', '.join(self.column_names)}.")
