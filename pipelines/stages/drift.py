"""How far a feature's distribution has moved from the one that was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.config import DriftConfig
from pipelines.fitted import FittedSpec
from pipelines.stages.feature_statistics import Stats
from pipelines.summaries import PERCENTILES

BINS = 10
LEAST_SHARE = 1e-4  # an empty bin is taken to hold this share: the logarithm of nothing has no bound


class Moved(NamedTuple):
    """A feature's drift: population stability index (nats), Kolmogorov-Smirnov distance, change of the missing share."""

    feature: str
    psi: float
    ks: float | None
    missing: float


def drift(name: str, trained: Stats, now: Stats) -> Moved:
    """Compare a feature on other rows with the same on the train split.

    PSI: the sum over bins of (q - p) ln(q / p) (Siddiqi, Credit Risk Scorecards, 2006), over ten bins of equal share in train
    for numbers (a value that fills a bin there is one of its own), over the vocabulary's words and the rest for words, and
    over the missing. KS: the greatest difference of the two distribution functions of present numbers. Both are from
    percentiles half a percent apart, which bounds the error of KS by 0.01; words have no order, and no KS.
    """
    missing = (trained.missing / max(trained.rows, 1), now.missing / max(now.rows, 1))
    if trained.shares is not None and now.shares is not None:
        rest = [1 - lost - sum(shares) for lost, shares in zip(missing, (trained.shares, now.shares), strict=True)]
        bins = [np.array([*shares, left]) for shares, left in zip((trained.shares, now.shares), rest, strict=True)]
        ks = None
    else:
        bins, ks = _compare(trained.percentiles or (), now.percentiles or (), missing)
    both = [np.array([*shares, lost]) for shares, lost in zip(bins, missing, strict=True)]
    return Moved(name, stability_index(*both), ks, missing[1] - missing[0])


def drifts(spec: FittedSpec, trained: Sequence[Stats], now: Sequence[Stats]) -> list[Moved]:
    """Compare all features of a spec, in its order."""
    return [drift(feature.name, *pair) for feature, *pair in zip(spec.features, trained, now, strict=True)]


def stability_index(expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """The population stability index of two lists of shares, in nats."""
    p, q = (np.maximum(shares, LEAST_SHARE) for shares in (expected, found))
    return float(((q - p) * np.log(q / p)).sum())


def exceeded(moved: Moved, config: DriftConfig) -> Iterator[tuple[str, str]]:
    """Each bound that a feature broke, as its severity and a sentence; of two broken bounds of one measure the harder."""
    for measure, found in (("psi", moved.psi), ("ks", moved.ks), ("missing", abs(moved.missing))):
        bounds = getattr(config, measure)
        for severity, bound in (("fail", bounds.fail), ("warn", bounds.warn)):
            if found is not None and bound is not None and found > bound:
                yield severity, f"{moved.feature}: {measure} {found:.3f} is above {bound}"
                break


def _compare(
    trained: tuple[float, ...], now: tuple[float, ...], missing: tuple[float, float]
) -> tuple[list[npt.NDArray[np.float64]], float | None]:
    if not trained or not now:  # nothing but missing values on one side
        return [np.array([1 - lost]) for lost in missing], None
    levels = np.unique(np.concatenate([trained, now]))
    functions = [_distribution(values, levels) for values in (trained, now)]
    step = len(PERCENTILES) // BINS + 1
    edges = np.unique(trained[step - 1 :: step])
    filled = edges[[trained.count(edge) >= step - 1 for edge in edges]]
    bins = [
        (1 - lost) * np.diff([0.0, *np.sort([*_below(values, filled), *_distribution(values, edges)]), 1.0])
        for values, lost in zip((trained, now), missing, strict=True)
    ]
    return bins, float(np.abs(functions[0] - functions[1]).max())


def _distribution(values: tuple[float, ...], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What share of the rows lies at or below each level, by their percentiles: between two of them on a straight line."""
    return _shares(np.array(values), at, np.searchsorted(values, at, side="right"))


def _below(values: tuple[float, ...], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What share of the rows lies below each level."""
    return _shares(np.array(values), at, np.searchsorted(values, at, side="left"))


def _shares(
    known: npt.NDArray[np.float64], at: npt.NDArray[np.float64], reached: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    low, high = known[np.maximum(reached - 1, 0)], known[np.minimum(reached, len(known) - 1)]
    between = np.divide(at - low, high - low, out=np.zeros(len(at)), where=(reached > 0) & (high > at))
    shares: npt.NDArray[np.float64] = np.where(reached == len(known), 1.0, (reached + between) / (len(known) + 1))
    return shares
