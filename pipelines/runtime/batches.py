"""Intervals that a step does in one pass: what they replace, their scope, and rows that know their interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from math import gcd
from operator import or_

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account
from pipelines.config import Interval
from pipelines.expressions import fold
from pipelines.io.audit import Audit
from pipelines.io.driver_rows import Spans
from pipelines.io.periods import frame_of
from pipelines.io.scopes import scope_of
from pipelines.io.tables import within_interval
from pipelines.runtime.context import Context
from schemas.names import internal
from schemas.tables import ROW_LEDGER

APART = ("interval_from", "interval_to")
GRAIN = internal("grain")
Bounds = tuple[datetime, datetime]


@dataclass(frozen=True)
class Batch:
    """Intervals without overlap, in order of time, that one pass of a step does; the context's interval spans them all."""

    context: Context
    intervals: tuple[Interval, ...]

    @cached_property
    def bounds(self) -> list[Bounds]:
        """Each interval's start and end, in UTC."""
        return [bounds_of_interval(each) for each in self.intervals]

    @cached_property
    def spans(self) -> list[Bounds]:
        """The parts of time that the intervals fill, where intervals that meet are one."""
        merged: list[Bounds] = []
        for start, end in self.bounds:
            if merged and merged[-1][1] == start:
                merged[-1] = merged[-1][0], end
            else:
                merged.append((start, end))
        return merged

    @property
    def replaced(self) -> Column:
        """Selects the rows that the intervals replace: their own, and those of intervals within them."""
        return fold(or_, [within_interval(*span) for span in self.spans])

    @property
    def whose_replaced(self) -> dict[str, object]:
        """The same for tables of few rows."""
        return {"interval_from": Spans(tuple(self.spans))}

    def audit(self, step: str) -> Audit:
        """Start the step's writes of all intervals."""
        span = self.context.shown(*self.context.bounds)
        return Audit(self.context.lake, scope_of(step, self.bounds), f"{step} of {len(self.intervals):,} intervals, {span}")

    def write_ledger(
        self,
        audit: Audit,
        step: str,
        accounts: Mapping[Interval, Sequence[Account]],
        replaced: Mapping[Interval, Sequence[str]],
    ) -> None:
        """Write the accounts of all intervals to row_ledger, in the place of the former ones of these and of those within."""
        rows = [
            row
            for interval in self.intervals
            for row in self.context.over(interval).ledger_rows(step, accounts[interval], replaced[interval])
        ]
        audit.write_rows(ROW_LEDGER, rows, {**self.whose_replaced, "step": step})

    def frame(self) -> DataFrame:
        """The intervals' bounds, in the columns of `APART`."""
        return frame_of(self.context.spark, [dict(zip(APART, bounds, strict=True)) for bounds in self.bounds])

    def of_time(self, rows: DataFrame, moment: Column) -> DataFrame:
        """The rows whose moment lies in one of the intervals, with that one's bounds in the place of their own (`APART`)."""
        instants = [int(bound.timestamp()) for bounds in self.bounds for bound in bounds]
        grain = gcd(*(after - before for before, after in pairwise(instants)), instants[0])
        grains = [
            {GRAIN: number, "interval_from": start, "interval_to": end}
            for start, end in self.bounds
            for number in range(int(start.timestamp()) // grain, int(end.timestamp()) // grain)
        ]
        numbered = rows.drop(*APART).withColumn(GRAIN, F.floor(F.unix_micros(moment) / F.lit(grain * 1_000_000)).cast("bigint"))
        return numbered.join(F.broadcast(frame_of(self.context.spark, grains)), GRAIN).drop(GRAIN)


def bounds_of_interval(interval: Interval) -> Bounds:
    """An interval's start and end, in UTC."""
    return interval.start.astimezone(UTC), interval.end.astimezone(UTC)


def micros_of_bounds() -> list[Column]:
    """The columns of `APART` as whole numbers, which Python gets without its own time zone; `bounds_of` reads them."""
    return [F.unix_micros(name).alias(name) for name in APART]


def bounds_of(row: Row) -> Bounds:
    """A row's interval, of the columns that `micros_of_bounds` gives."""
    start, end = (datetime.fromtimestamp(row[name] / 1_000_000, UTC) for name in APART)
    return start, end
