"""What a run replaces, as each of its snapshots says it: a step and a span of time, such as "clean 2013-01-01T00:00:00+00:00
to 2014-01-01T00:00:00+00:00".

Runs of ingest and clean write intervals, of which no two may overlap. The other steps write windows, which may overlap: there a
scope conflicts with its equal alone.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

OF_INTERVALS = re.compile(r"(ingest|clean) (\S+) to (\S+)")


class Span(NamedTuple):
    """A step of intervals, and the interval's start (included) and end (excluded)."""

    step: str
    start: datetime
    end: datetime


def overlap(scope: str, other: str) -> bool:
    """Whether two scopes have rows in common: they are equal, or intervals of one step that share some time."""
    one, two = _span(scope), _span(other)
    if one is None or two is None:
        return scope == other
    return one.step == two.step and one.start < two.end and two.start < one.end


def covers(scope: str, other: str) -> bool:
    """Whether a scope has all rows of another: they are equal, or of one step, and the other's time lies within its own."""
    one, two = _span(scope), _span(other)
    if one is None or two is None:
        return scope == other
    return one.step == two.step and one.start <= two.start and two.end <= one.end


@lru_cache(maxsize=100_000)
def _span(scope: str) -> Span | None:
    matched = OF_INTERVALS.fullmatch(scope)
    return matched and Span(matched[1], *(datetime.fromisoformat(bound) for bound in matched.groups()[1:]))
