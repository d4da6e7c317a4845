"""Fit features on the train split: what its profiles make of a declared spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipelines.config import FeaturesConfig, Regression
from pipelines.errors import DataError
from pipelines.features.fitted import FittedLabel, FittedSpec
from pipelines.features.kinds.fitting import FLAT
from pipelines.features.kinds.statistics import Profiles, Request, Stats, Train
from pipelines.features.kinds.target import LabelSums


class LabelMoments(NamedTuple):
    """Of a regression's labels in the train split: mean and population deviation once transformed as the task says, and the
    least and the greatest label itself.
    """

    mean: float
    deviation: float
    minimum: float
    maximum: float


class FitResult(NamedTuple):
    """A fitted spec and the statistics behind it, feature by feature in the same order."""

    spec: FittedSpec
    stats: tuple[Stats, ...]


def requests(spec: FeaturesConfig) -> tuple[Request, ...]:
    """The statistics that `fit` and `stats_of` need of each split's rows."""
    return tuple(request for _, name, feature in spec.declared for request in feature.statistics(name))


def fitted_requests(spec: FittedSpec) -> tuple[Request, ...]:
    """The statistics that `stats_of` needs of rows that nothing is fitted on."""
    return tuple(feature.statistics() for feature in spec.features)


def stats_of(spec: FittedSpec, profiles: Profiles) -> tuple[Stats, ...]:
    """What is known of features on other rows, by the profiles of these: counts, percentiles, shares."""
    return tuple(feature.stats(profiles) for feature in spec.features)


def fit(
    spec: FeaturesConfig,
    profiles: Profiles,
    labels: Mapping[str, LabelSums] | None = None,
    label: FittedLabel | None = None,
) -> FitResult:
    """Turn the train split's profiles of `requests` into the fitted spec, with the labels that mean labels take beside them.

    Raises DataError when the train split is empty, or a feature is always missing there or does not vary.
    """
    train = Train(profiles, labels or {})
    if not train.rows:
        raise DataError("features: the train split is empty; expected labelled rows in it. Check features.split.")
    fitted = [pair for _, name, feature in spec.declared for pair in feature.fit(name, train)]
    return FitResult(FittedSpec(features=tuple(f for f, _ in fitted), label=label), tuple(s for _, s in fitted))


def fit_label(moments: LabelMoments, task: Regression) -> FittedLabel:
    """The scaling of a regression's label; raises DataError when it does not vary."""
    mean, deviation, low, high = moments
    if deviation <= FLAT * abs(mean):
        raise DataError(f"features: the label does not vary in the train split (it is {high:g}). Check how it is derived.")
    return FittedLabel(offset=mean, scale=deviation, transform=task.transform, clip=task.clip, minimum=low, maximum=high)
