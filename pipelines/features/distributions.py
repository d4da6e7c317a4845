"""The distribution of a feature's numbers, from its statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipelines.features.kinds.statistics import Stats
from pipelines.features.kinds.summaries import PERCENTILES

BINS = 10
Floats = npt.NDArray[np.float64]


class Distribution(Protocol):
    """Shares of a feature's present numbers."""

    @property
    def values(self) -> Floats:
        """Where the distribution is known, in ascending order."""

    def at_most(self, values: Floats) -> Floats:
        """What share lies at or below each value."""

    def below(self, values: Floats) -> Floats:
        """What share lies below each value."""

    def edges(self) -> tuple[Floats, Floats]:
        """The deciles, each once, and those of them that fill a bin alone: a tenth of all numbers, or more, have that value."""


def distributions(trained: Stats, current: Stats) -> tuple[Distribution, Distribution] | None:
    """Both distributions, by counts where both have them (statistics of former versions have percentiles alone); None where
    either has no value.
    """
    if not trained.percentiles or not current.percentiles:
        return None
    counts = _counts(trained), _counts(current)
    if counts[0] and counts[1]:
        return counts[0], counts[1]
    return Percentiles(np.array(trained.percentiles)), Percentiles(np.array(current.percentiles))


def _counts(stats: Stats) -> Counts | None:
    if stats.levels is None or stats.rows_below is None or stats.rows_at_most is None:
        return None
    return Counts(*(np.array(values, np.float64) for values in (stats.levels, stats.rows_below, stats.rows_at_most)))


@dataclass(frozen=True)
class Counts:
    """Numbers counted below and at `levels`, the least and the greatest number among these; between two levels on a straight
    line. Exact where all distinct numbers are levels.
    """

    levels: Floats
    rows_below: Floats
    rows_at_most: Floats

    @property
    def values(self) -> Floats:
        """The levels, which are the values where the distribution is known."""
        return self.levels

    def at_most(self, values: Floats) -> Floats:
        """What share lies at or below each value."""
        return self._shares(values, np.searchsorted(self.levels, values, side="right"))

    def below(self, values: Floats) -> Floats:
        """What share lies below each value."""
        return self._shares(values, np.searchsorted(self.levels, values, side="left"))

    def edges(self) -> tuple[Floats, Floats]:
        """Deciles by rank: of each tenth the least level that so many are at or below."""
        total = self.rows_at_most[-1]
        ranks = np.ceil(np.arange(1, BINS) * total / BINS)
        positions = np.unique(np.searchsorted(self.rows_at_most, ranks, side="left"))
        filled = positions[(self.rows_at_most - self.rows_below)[positions] * BINS >= total]
        return self.levels[positions], self.levels[filled]

    def _shares(self, values: Floats, reached: npt.NDArray[np.intp]) -> Floats:
        """`reached`: how many levels each value has behind it."""
        low, high = np.maximum(reached - 1, 0), np.minimum(reached, len(self.levels) - 1)
        inside = (reached > 0) & (reached < len(self.levels))
        gap = self.levels[high] - self.levels[low]
        part = np.divide(values - self.levels[low], gap, out=np.zeros(len(values)), where=inside)
        between = np.where(inside, self.rows_below[high] - self.rows_at_most[low], 0.0)
        rows: Floats = np.where(reached > 0, self.rows_at_most[low], 0.0) + part * between
        shares: Floats = rows / self.rows_at_most[-1]
        return shares


@dataclass(frozen=True)
class Percentiles:
    """Numbers known by their percentiles alone, half a percent apart; between two of them on a straight line."""

    values: Floats

    def at_most(self, values: Floats) -> Floats:
        """What share lies at or below each value."""
        return self._shares(values, np.searchsorted(self.values, values, side="right"))

    def below(self, values: Floats) -> Floats:
        """What share lies below each value."""
        return self._shares(values, np.searchsorted(self.values, values, side="left"))

    def edges(self) -> tuple[Floats, Floats]:
        """Every twentieth percentile."""
        step = len(PERCENTILES) // BINS + 1
        edges = np.unique(self.values[step - 1 :: step])
        return edges, edges[[np.count_nonzero(self.values == edge) >= step - 1 for edge in edges]]

    def _shares(self, values: Floats, reached: npt.NDArray[np.intp]) -> Floats:
        percentiles = self.values
        low, high = percentiles[np.maximum(reached - 1, 0)], percentiles[np.minimum(reached, len(percentiles) - 1)]
        between = np.divide(values - low, high - low, out=np.zeros(len(values)), where=(reached > 0) & (high > values))
        shares: Floats = np.where(reached == len(percentiles), 1.0, (reached + between) / (len(percentiles) + 1))
        return shares
