"""Moments, percentiles and frequent words of columns, in parts and merged."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

PERCENTILES = tuple(step / 200 for step in range(1, 200))
EXACT_LEVELS = 2_000  # up to so many distinct numbers of a column are each counted, the minutes of a day among them
LEVEL_PARTS = 400  # of more, those are that end a part; a multiple of the percentiles' parts
TRACKED_WORDS = 50_000  # a column's words are counted exactly up to so many distinct ones
Values: TypeAlias = npt.NDArray[np.float64]


class Moments(NamedTuple):
    """Of numbers: how many, their mean, the sum of squared deviations from it, the least and the greatest."""

    present: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf


def moments_of(values: Values) -> Moments:
    """The moments of finite numbers.

    The corrected two-pass algorithm of Chan, Golub and LeVeque: Algorithms for computing the sample variance (1983), eq. 1.7.
    """
    if not len(values):
        return Moments()
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large to be scaled is refused later, by name
        mean = values.mean()
        deviations = values - mean
        correction = deviations.mean()
        squares = deviations @ deviations - len(values) * correction * correction
    return Moments(len(values), float(mean + correction), float(squares), float(values.min()), float(values.max()))


def merged_moments(one: Moments, other: Moments) -> Moments:
    """The moments of both together.

    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979), eq. 2.1.
    """
    if not one.present or not other.present:
        return one if one.present else other
    both, shift = one.present + other.present, other.mean - one.mean
    return Moments(
        both,
        one.mean + shift * other.present / both,
        one.squares + other.squares + shift * shift * one.present * other.present / both,
        min(one.minimum, other.minimum),
        max(one.maximum, other.maximum),
    )


def percentiles_of(values: Values, *, ordered: bool = False) -> Values | None:
    """The values at `PERCENTILES`: of each share the least value that this share of all is at or below. None of no values.

    `ordered` says that the values ascend already.
    """
    if not len(values):
        return None
    percentiles: Values = (values if ordered else np.sort(values))[_ranks(len(values), len(PERCENTILES) + 1)]
    return percentiles


def _ranks(count: int, parts: int) -> npt.NDArray[np.int64]:
    """Where the values lie that end each but the last of so many equal parts of `count` values in ascending order."""
    steps = np.arange(1, parts, dtype=np.int64)
    ranks: npt.NDArray[np.int64] = -(-steps * count // parts) - 1
    return ranks


class Levels(NamedTuple):
    """A distribution of numbers at some of them, in ascending order, the least and the greatest among them: how many numbers
    are below each, and how many at or below it. Up to `EXACT_LEVELS` distinct numbers all are there.
    """

    values: Values
    below: Values
    at_most: Values

    def to_bytes(self) -> bytes:
        """All three, one after the other."""
        return np.concatenate(self).tobytes()

    @staticmethod
    def from_bytes(content: bytes) -> Levels:
        """What `to_bytes` has written."""
        return Levels(*np.frombuffer(content, np.float64).reshape(3, -1))


def levels_of(values: Values, *, ordered: bool = False) -> Levels | None:
    """The distribution of finite numbers: at each distinct one, or of many at the least, the greatest and those that end each
    quarter of a percent, so that one which is as much of them or more is always there. None of no values.
    """
    if not len(values):
        return None
    ascending = values if ordered else np.sort(values)
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
    ends = np.append(starts[1:], len(ascending))
    if len(starts) > EXACT_LEVELS:
        ranks = np.concatenate([[0], _ranks(len(ascending), LEVEL_PARTS), [len(ascending) - 1]])
        chosen = np.unique(np.searchsorted(starts, ranks, side="right") - 1)
        starts, ends = starts[chosen], ends[chosen]
    return Levels(ascending[starts], starts.astype(np.float64), ends.astype(np.float64))


class WordCounts:
    """How often each word occurs, exact up to `tracked` distinct ones.

    Of more, the rarest are dropped, and the others counted too low by as much as the most frequent of these: by at most one row
    in `tracked` in all (Agarwal et al.: Mergeable Summaries, 2012, section 2).
    """

    def __init__(self, tracked: int = TRACKED_WORDS) -> None:
        self._tracked = tracked
        self._tables: list[pa.Table] = []
        self._held = 0

    def add(self, words: pa.Array, counts: pa.Array) -> None:
        """Count words in; one may come several times."""
        self._tables.append(pa.table({"word": words.cast(pa.string()), "count": counts.cast(pa.int64())}))
        self._held += len(words)
        if self._held > 4 * self._tracked:
            self._tables = [self.table()]
            self._held = self._tables[0].num_rows

    def table(self) -> pa.Table:
        """Columns word and count, the most frequent word first, those as frequent by name."""
        if not self._tables:
            return pa.table({"word": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
        summed = pa.concat_tables(self._tables).group_by("word", use_threads=False).aggregate([("count", "sum")])
        whole = summed.rename_columns({"count_sum": "count"}).select(["word", "count"])
        ordered = whole.sort_by([("count", "descending"), ("word", "ascending")])
        if ordered.num_rows <= self._tracked:
            return ordered
        chosen, dropped = ordered.slice(0, self._tracked), ordered["count"][self._tracked]
        less = chosen.set_column(1, "count", pc.subtract(chosen["count"], dropped))
        return less.filter(pc.greater(less["count"], 0))
