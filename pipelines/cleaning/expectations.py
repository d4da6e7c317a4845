"""What a whole interval promises: how fresh its rows are, and how many there are against the intervals before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from pipelines.errors import DataError
from schemas.contract import Severity, Table


class BrokenRule(NamedTuple):
    """A rule that was broken: the source, the rule and its severity, how many rows broke it, and an example."""

    source: str
    rule: str
    severity: Severity
    rows: int
    example: str


def merge_broken(broken: Iterable[BrokenRule]) -> list[BrokenRule]:
    """Each broken rule once, with all its rows; of several examples the first in alphabetical order."""
    by_rule: dict[tuple[str, str], BrokenRule] = {}
    for new in broken:
        old = by_rule.get((new.source, new.rule), new._replace(rows=0))
        by_rule[new.source, new.rule] = old._replace(rows=old.rows + new.rows, example=min(old.example, new.example))
    return list(by_rule.values())


def check_freshness(contract: Table, newest: datetime | None, end: datetime) -> list[BrokenRule]:
    """Hold the newest clean row's event time (None without rows) against the interval's end."""
    promise = contract.freshness
    if promise is None or (newest is not None and newest >= end - timedelta(hours=promise.hours)):
        return []
    shown = "none" if newest is None else f"{newest.astimezone(end.tzinfo):%Y-%m-%d %H:%M:%S %Z}"
    example = f"freshness: expected a row within {promise.hours:g} hours of {end:%Y-%m-%d %H:%M:%S %Z}, the newest is {shown}"
    return [BrokenRule(contract.name, "freshness", promise.severity, 0, example)]


def check_volume(contract: Table, landed: int, before: Sequence[int]) -> list[BrokenRule]:
    """Hold an interval's landed rows against the median of the intervals before it; nothing is promised of the first ones."""
    promise = contract.volume
    if promise is None or not before:
        return []
    usual_rows = median(before[: promise.runs])
    if promise.low * usual_rows <= landed <= promise.high * usual_rows:
        return []
    example = (
        f"volume: expected {promise.low * usual_rows:,.0f} to {promise.high * usual_rows:,.0f} rows ({promise.low:g} to "
        f"{promise.high:g} times the median of {min(len(before), promise.runs)} intervals before), received {landed:,}"
    )
    return [BrokenRule(contract.name, "volume", promise.severity, landed, example)]


def check_failures(broken: Iterable[BrokenRule]) -> None:
    """Raise DataError when a promise of severity `fail` is broken, naming all of them."""
    failed = [rule for rule in broken if rule.severity == "fail"]
    if failed:
        lines = "\n".join(f"  {b.source}: {b.rule}, broken by {b.rows:,} rows, for example: {b.example}" for b in failed)
        raise DataError(f"rules that must hold are broken; no table was changed. Fix the source, or its contract:\n{lines}")
