"""The vocabulary of contracts: what a table's columns, keys and rules promise. Plain data, no engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal

from schemas.promises import table_problems
from schemas.vocabulary import column_problems

ColumnType = Literal[
    "boolean", "int", "bigint", "float", "double", "string", "date", "timestamp", "array<string>", "array<double>",
    "array<float>", "array<int>",
    "map<string,string>",
]  # fmt: skip
Severity = Literal["quarantine", "warn", "fail"]


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
class Conversion:
    """How a number is received: `unit`, of which a value is worth `value * factor + offset` in the column's own unit."""

    unit: str
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Outliers:
    """What lies outside the quantiles `low` and `high` of the interval's own values, and what becomes of it.

    The fences stand `reach` times the distance between both quantiles beyond them: 0 for the quantiles themselves, 1.5 with
    0.25 and 0.75 for Tukey's fences (Exploratory Data Analysis, 1977). `clip` puts the fence in the value's place and counts
    it, `flag` keeps the value beside a column `<name>_outlier`, `quarantine` refuses the row.
    """

    action: Literal["clip", "flag", "quarantine"]
    low: float = 0.001
    high: float = 0.999
    reach: float = 0.0


@dataclass(frozen=True)
class Column:
    """One column: its SQL type, its unit where it has one, the bounds of a valid value (both included), and how it is
    received.

    A value that cannot be read, or is missing where it must not be, quarantines its row; for one that is outside its bounds,
    `allowed` or `pattern`, `severity` decides. Text is trimmed (`spaces`), put in one `case`, then `aliases` map what is
    received to what it is to be called. `decimal` is the mark before a number's decimals. `zone` is where a timestamp that
    names no zone was read off a clock, `format` how it is written (Spark's pattern letters; ISO when there is none); of the
    two readings of a clock time in the hour that is repeated when clocks go back, `repeated_hour` takes one. `personal` text
    leaves the raw table only as a keyed hash, or not at all. `from_history` marks a derived column that is computed from other
    rows, which whoever asks a model about one row has to compute and send.
    """

    name: str
    type: ColumnType
    unit: str | None = None
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    pattern: str | None = None
    comment: str = ""
    severity: Severity = "quarantine"
    spaces: Literal["trim", "collapse", "keep"] = "trim"
    case: Literal["upper", "lower"] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    decimal: Literal[".", ","] = "."
    received: Conversion | None = None
    outliers: Outliers | None = None
    zone: str | None = None
    format: str | None = None
    repeated_hour: Literal["earlier", "later", "quarantine"] = "earlier"
    personal: Literal["hash", "drop"] | None = None
    from_history: bool = False

    def __post_init__(self) -> None:
        _refuse("column", self.name, column_problems(self))

    @property
    def flag(self) -> str | None:
        """The name of the column that flags this one's outliers, where the contract wants them flagged."""
        return f"{self.name}_outlier" if self.outliers and self.outliers.action == "flag" else None


@dataclass(frozen=True)
class Rule:
    """A promise about a row, as SQL that is true of a good one.

    Where it is false `severity` decides: the row is quarantined, or only counted (`warn`), or the run fails. Where it is null,
    as SQL is of what it does not know, it holds.
    """

    name: str
    holds: str
    severity: Severity = "quarantine"


@dataclass(frozen=True)
class Reference:
    """A promise that the values of `columns`, where they are all given, are those of a clean row of another source."""

    columns: tuple[str, ...]
    source: str
    to: tuple[str, ...]
    severity: Severity = "quarantine"

    @property
    def name(self) -> str:
        """The promise as a sentence."""
        return f"{', '.join(self.columns)} in {self.source}"


@dataclass(frozen=True)
class Freshness:
    """The interval's newest clean row is at most so many hours older than the interval's end."""

    hours: float
    severity: Literal["warn", "fail"] = "warn"


@dataclass(frozen=True)
class Volume:
    """An interval lands between `low` and `high` times the median of the `runs` intervals landed before it."""

    low: float = 0.5
    high: float = 2.0
    runs: int = 7
    severity: Literal["warn", "fail"] = "warn"


@dataclass(frozen=True)
class Table:
    """A table's contract.

    `key` names a row; of several rows with one key the greatest by `latest_by` wins: by columns, or by `LANDING_ORDER`, in
    which a correction that comes later replaces what it corrects. Without a key, rows that are the same in every column count
    once. `unique` names further columns whose values no two clean rows share. A table with an
    `event_time`, the timestamp that places a row in an interval, holds events; one without is a snapshot, complete at each
    landing, of which a window reads the newest; with `history` it reads all that were valid during it, each row with the span
    of time in which it was (`VALID`).
    `one_partition` says that the rows of a write are all of one partition. Raises ContractError when it names a column that
    it does not declare.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    latest_by: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    event_time: str | None = None
    history: bool = False
    rules: tuple[Rule, ...] = ()
    references: tuple[Reference, ...] = ()
    freshness: Freshness | None = None
    volume: Volume | None = None
    null_tokens: tuple[str, ...] = ("", "NA")
    partition_by: tuple[str, ...] = ()
    one_partition: bool = False
    sorted_by: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)

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
                f"Declare it in columns, or mend the key, latest_by, unique, references, partition_by, sorted_by or event_time."
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
