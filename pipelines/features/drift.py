"""How far a feature's distribution has moved from the one that was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.config import DriftBounds, DriftConfig
from pipelines.features.distributions import Distribution, Floats, distributions
from pipelines.features.fitted import FittedSpec
from pipelines.features.kinds.statistics import Stats

LEAST_SHARE = 1e-4  # an empty bin is taken to hold this share: the logarithm of nothing has no bound
LEAST_ROWS = 10  # five in either of two bins (Cochran, Some methods for strengthening the common chi-square tests, 1954)
CHANCE, SAMPLES = 0.001, 999  # what none of 999 samples reaches is as rare as one in a thousand
DRAWN_AT_ONCE = 1 << 20  # counts of bins that are held in memory


class FeatureDrift(NamedTuple):
    """A feature's drift: population stability index (nats), Kolmogorov-Smirnov distance, change of the missing share."""

    feature: str
    psi: float
    ks: float | None
    missing: float


class BrokenBound(NamedTuple):
    """A bound that a feature broke: its severity, and a sentence."""

    drift: FeatureDrift
    severity: str
    text: str


class _Shares(NamedTuple):
    """Both shares of the rows, in train and now, by bin, those of missing values last; and the Kolmogorov-Smirnov distance."""

    trained: Floats
    current: Floats
    ks: float | None


def measure_drift(name: str, trained: Stats, current: Stats) -> FeatureDrift:
    """Compare a feature on other rows with the same on the train split.

    PSI: the sum over bins of (q - p) ln(q / p) (Siddiqi, Credit Risk Scorecards, 2006), over ten bins of equal share in train
    for numbers (a value that fills a bin there is one of its own; a decile belongs to the bin below it), over the vocabulary's
    words and the rest for words, and over the missing. KS: the greatest difference of the two distribution functions of
    present numbers. Both are from counts: exact where a feature has few distinct values; of many, values between two counted
    levels, less than a quarter of a percent of the rows, lie on a straight line, which bounds the error of KS by 0.01. Words
    have no order, and no KS.
    """
    shares = _compare(trained, current)
    return FeatureDrift(
        name, stability_index(shares.trained, shares.current), shares.ks, float(shares.current[-1] - shares.trained[-1])
    )


def measure_drifts(spec: FittedSpec, trained: Sequence[Stats], current: Sequence[Stats]) -> list[FeatureDrift]:
    """Compare all features of a spec, in its order."""
    return [measure_drift(feature.name, *pair) for feature, *pair in zip(spec.features, trained, current, strict=True)]


def stability_index(expected: Floats, observed: Floats) -> float:
    """The population stability index of two lists of shares, in nats."""
    return float(_indices(expected, observed))


def exceeded(drift: FeatureDrift, config: DriftConfig, ignored: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Each bound that a feature broke, as its severity and a sentence; of two broken bounds of one measure the harder, and of
    `ignored` measures none.
    """
    for measure, value in (("psi", drift.psi), ("ks", drift.ks), ("missing", abs(drift.missing))):
        bounds = DriftBounds() if measure in ignored else getattr(config, measure)
        for severity, bound in (("fail", bounds.fail), ("warn", bounds.warn)):
            if value is not None and bound is not None and value > bound:
                yield severity, f"{drift.feature}: {measure} {value:.3f} is above {bound}"
                break


def within_chance(drift: FeatureDrift, trained: Stats, current: Stats) -> frozenset[str]:
    """The measures of a feature that rows drawn twice from one distribution would reach as well: whose bounds are not broken.

    Of fewer than `LEAST_ROWS` rows on either side, that is each measure. PSI and missing share: where one of a thousand pairs
    of samples, as large as the two and drawn from both together, is as far apart (a Monte Carlo test at 0.001; Hope, A
    simplified Monte Carlo significance test procedure, 1968). PSI without drift is about (1/n + 1/m) times a chi-square
    variable of as many degrees of freedom as there are bins less one (Yurdakul, Statistical properties of population stability
    index, 2018): of ten bins 0.25 and more until n or m has some hundred rows. That holds where all bins expect several rows,
    which samples drawn need not. KS: its critical value at 0.001, sqrt(ln(2 / 0.001) / 2 (1/n + 1/m)) (Smirnov, 1948).
    """
    rows = _sampled(trained), _sampled(current)
    if min(rows) < LEAST_ROWS:
        return frozenset(("psi", "ks", "missing"))
    shares = _compare(trained, current)
    psi, missing = _by_chance(shares, *rows)
    scale = 1 / max(rows[0] * (1 - shares.trained[-1]), 1) + 1 / max(rows[1] * (1 - shares.current[-1]), 1)
    ks = math.sqrt(math.log(2 / CHANCE) / 2 * scale)
    reached = {"psi": drift.psi <= psi, "missing": abs(drift.missing) <= missing, "ks": (drift.ks or 0.0) <= ks}
    return frozenset(measure for measure, explained in reached.items() if explained)


def broken_bounds(
    drifts: Sequence[FeatureDrift], trained: Sequence[Stats], current: Sequence[Stats], config: DriftConfig
) -> list[BrokenBound]:
    """Every bound that a feature broke by more than chance, in the order of features."""
    exceeded_bounds = []
    for drift, before, after in zip(drifts, trained, current, strict=True):
        if any(exceeded(drift, config)):
            ignored = within_chance(drift, before, after)
            exceeded_bounds += [BrokenBound(drift, *broken) for broken in exceeded(drift, config, ignored)]
    return exceeded_bounds


def _by_chance(shares: _Shares, n: int, m: int) -> tuple[float, float]:
    """The greatest PSI and change of the missing share of pairs of samples of n and m rows from both distributions together."""
    random = np.random.default_rng(0)  # the same statistics have the same verdict
    both = np.maximum(shares.trained * n + shares.current * m, 0)
    both /= both.sum()
    psi = missing = 0.0
    at_once = max(DRAWN_AT_ONCE // len(both), 1)
    for first in range(0, SAMPLES, at_once):
        size = min(at_once, SAMPLES - first)
        first_sample, second_sample = (random.multinomial(rows, both, size) / rows for rows in (n, m))
        psi = max(psi, float(_indices(first_sample, second_sample).max()))
        missing = max(missing, float(np.abs(first_sample[:, -1] - second_sample[:, -1]).max()))
    return psi, missing


def _indices(expected: Floats, observed: Floats) -> Floats:
    """The population stability index along the last axis."""
    p, q = (np.maximum(shares, LEAST_SHARE) for shares in (expected, observed))
    indices: Floats = ((q - p) * np.log(q / p)).sum(axis=-1)
    return indices


def _sampled(stats: Stats) -> int:
    """The rows that shares are of: as many as percentiles are of, where these are of some."""
    present = stats.rows - stats.missing
    if not stats.rows_at_most or not present:
        return stats.rows
    return round(stats.rows * stats.rows_at_most[-1] / present)


def _compare(trained: Stats, current: Stats) -> _Shares:
    missing = (trained.missing / max(trained.rows, 1), current.missing / max(current.rows, 1))
    if trained.shares is not None and current.shares is not None:
        remainders = [
            1 - missing_share - sum(shares)
            for missing_share, shares in zip(missing, (trained.shares, current.shares), strict=True)
        ]
        bins = [
            np.array([*shares, remaining])
            for shares, remaining in zip((trained.shares, current.shares), remainders, strict=True)
        ]
        ks = None
    else:
        bins, ks = _compare_numbers(distributions(trained, current), missing)
    before, after = (np.array([*shares, missing_share]) for shares, missing_share in zip(bins, missing, strict=True))
    return _Shares(before, after, ks)


def _compare_numbers(
    both: tuple[Distribution, Distribution] | None, missing: tuple[float, float]
) -> tuple[list[Floats], float | None]:
    if both is None:  # nothing but missing values on one side
        return [np.array([1 - missing_share]) for missing_share in missing], None
    levels = np.unique(np.concatenate([distribution.values for distribution in both]))
    edges, filled = both[0].edges()
    bins = [
        (1 - missing_share) * np.diff([0.0, *np.sort([*distribution.below(filled), *distribution.at_most(edges)]), 1.0])
        for distribution, missing_share in zip(both, missing, strict=True)
    ]
    return bins, float(np.abs(both[0].at_most(levels) - both[1].at_most(levels)).max())
