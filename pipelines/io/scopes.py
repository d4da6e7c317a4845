"""What a run replaces, as each of its snapshots says it: a step and a span of time, such as "clean 2013-01-01T00:00:00+00:00
to 2014-01-01T00:00:00+00:00".

Runs of ingest and clean write intervals, of which no two may overlap. One that writes many at once names all their bounds:
"a to b to c, d to e" are the intervals from a to b, from b to c and from d to e. The other steps write windows, which may
overlap: there a scope conflicts with its equal alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

OF_INTERVALS = re.compile(r"(ingest|clean) (\S+ to .+)")
Bounds = tuple[datetime, datetime]


class Scope(NamedTuple):
    """A step of intervals, and their starts (included) and ends (excluded), in order of time and without overlap."""

    step: str
    intervals: tuple[Bounds, ...]

    def overlapping(self, others: Scope) -> Iterator[tuple[Bounds, Bounds]]:
        """The pairs of an interval of this one and one of another that share some time."""
        ends = [end for _, end in self.intervals]
        for other in others.intervals:
            for interval in self.intervals[bisect_right(ends, other[0]) :]:
                if interval[0] >= other[1]:
                    break
                yield interval, other


def scope_of(step: str, intervals: Sequence[Bounds]) -> str:
    """The scope of a step's intervals, which are in order of time and do not overlap."""
    parts: list[list[datetime]] = []
    for start, end in intervals:
        if parts and parts[-1][-1] == start:
            parts[-1].append(end)
        else:
            parts.append([start, end])
    return f"{step} " + ", ".join(" to ".join(bound.isoformat() for bound in part) for part in parts)


def overlap(scope: str, other: str) -> bool:
    """Whether two scopes have rows in common: they are equal, or of one step, and intervals of both share some time."""
    first, second = _spans(scope), _spans(other)
    if first is None or second is None:
        return scope == other
    return first.step == second.step and next(first.overlapping(second), None) is not None


def covers(scope: str, other: str) -> bool:
    """Whether a scope has all rows of another's intervals that it overlaps: they are equal, or of one step, and each of these
    lies within an interval of its own.
    """
    first, second = _spans(scope), _spans(other)
    if first is None or second is None:
        return scope == other
    shared = list(first.overlapping(second)) if first.step == second.step else []
    return bool(shared) and all(outer[0] <= inner[0] and inner[1] <= outer[1] for outer, inner in shared)


def is_of_many(scope: str) -> bool:
    """Whether a scope is of several intervals."""
    spans = _spans(scope)
    return spans is not None and len(spans.intervals) > 1


@lru_cache(maxsize=100_000)
def _spans(scope: str) -> Scope | None:
    matched = OF_INTERVALS.fullmatch(scope)
    if matched is None:
        return None
    parts = ([datetime.fromisoformat(bound) for bound in part.split(" to ")] for part in matched[2].split(", "))
    return Scope(matched[1], tuple(interval for part in parts for interval in pairwise(part)))
