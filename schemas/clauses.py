"""What contracts are declared with beside columns: conversions, outliers, rules, references, promises about intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["quarantine", "warn", "fail"]


@dataclass(frozen=True)
class Conversion:
    """How numbers are received in another unit: received number * `factor` + `offset` is in the column's own."""

    unit: str
    """Unit in which numbers are received."""
    factor: float = 1.0
    """What a received number is multiplied by. Not 0."""
    offset: float = 0.0
    """What is added then."""


@dataclass(frozen=True)
class Outliers:
    """What lies beyond fences fitted on the interval's own values (Tukey 1977), and what becomes of it."""

    action: Literal["clip", "flag", "quarantine"]
    """`clip` replaces the value by the nearer fence and counts it, `flag` keeps it beside a column `<name>_outlier`,
    `quarantine` refuses the row.
    """
    low: float = 0.001
    """Lower quantile, from 0 to 1."""
    high: float = 0.999
    """Upper quantile, from 0 to 1, above `low`."""
    reach: float = 0.0
    """How far beyond the quantiles the fences stand, in distances between both: 1.5 with 0.25 and 0.75 for Tukey's."""


@dataclass(frozen=True)
class Rule:
    """A promise about a row, as SQL that is true of a good one."""

    name: str
    """The promise as a short sentence, by which reasons and `broken_rules` name it."""
    holds: str
    """SQL over the table's columns that is true of a good row. Null counts as true."""
    severity: Severity = "quarantine"
    """What becomes of a row for which it is false: it is quarantined, only counted (`warn`), or fails the run (exit 3)."""


@dataclass(frozen=True)
class Reference:
    """A promise that the values of `columns`, where they are all given, are those of a clean row of another source."""

    columns: tuple[str, ...]
    """Columns of this table. A row that lacks a value of theirs is not checked."""
    source: str
    """The other source."""
    to: tuple[str, ...]
    """Its columns, in the same order."""
    severity: Severity = "quarantine"
    """What becomes of a row without a partner, as of a rule."""

    @property
    def name(self) -> str:
        """The promise as a sentence."""
        return f"{', '.join(self.columns)} in {self.source}"


@dataclass(frozen=True)
class Freshness:
    """A promise about how old an interval's newest clean row is."""

    hours: float
    """Most hours from the newest clean row's event time to the interval's end."""
    severity: Literal["warn", "fail"] = "warn"
    """Whether an older one is reported, or fails the run (exit 3)."""


@dataclass(frozen=True)
class Volume:
    """A promise about an interval's number of rows, against the median of those before it. Nothing is promised of the first."""

    low: float = 0.5
    """Fewest rows, as a multiple of the median."""
    high: float = 2.0
    """Most rows, as a multiple of the median."""
    runs: int = 7
    """Earlier intervals of which the median is taken, the latest ones."""
    severity: Literal["warn", "fail"] = "warn"
    """Whether another number of rows is reported, or fails the run (exit 3)."""
