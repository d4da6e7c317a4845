"""What should not be in a feature: the label itself, or what was known only later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig
from pipelines.expressions import col
from pipelines.features.groups import CLASSES
from pipelines.features.kinds.statistics import ColumnProfile, Profiles, Request
from pipelines.features.ranking import area_under_roc
from schemas.names import internal

RARE_WORD_ROWS = 50  # words of fewer rows are merged: alone, each would rank its own rows rightly by chance


class Ranked(NamedTuple):
    """Values in ascending order of evidence, and how many rows of either class have each."""

    negatives: npt.NDArray[np.float64]
    positives: npt.NDArray[np.float64]


def leak_requests(spec: FeaturesConfig) -> tuple[Request, ...]:
    """The statistics that `single_feature_auc` needs of the rows of each class."""
    candidates = (feature.leak(name) for _, name, feature in spec.declared)
    return tuple(request for request in candidates if request is not None)


def single_feature_auc(spec: FeaturesConfig, profiles: Mapping[str, Profiles]) -> dict[str, float]:
    """How well each feature alone ranks the label, missing values included: 0.5 not at all, 1 perfectly, either way round.

    By the profiles of both classes of `leak_requests`. Numbers by their percentiles, so within 0.005 of the rows' own; words
    by their share of positives. Empty when the rows lack a class.
    """
    if not all(name in profiles for name in CLASSES):
        return {}
    classes = [profiles[name] for name in CLASSES]
    aucs = {}
    for request in leak_requests(spec):
        sides = [(group.rows, group.of(request.name)) for group in classes]
        by_number = request.kind == "number"
        aucs[request.name] = (
            _best_with_missing([_value_weights(*side) for side in sides]) if by_number else _auc(_by_rate(sides))
        )
    return aucs


def late_counts(known_at: Mapping[str, str], predicted_at: str) -> list[Column]:
    """A count for each feature, by `late_name`: rows in which its value was known only after it was to be used."""
    return [F.count_if(col(stamp) > col(predicted_at)).alias(late_name(name)) for name, stamp in known_at.items()]


def late_name(feature: str) -> str:
    """What the count of a feature's late values is called."""
    return internal(f"late {feature}")


def leak_warnings(aucs: Mapping[str, float], bound: float) -> Iterable[str]:
    """A sentence for each feature that ranks the label too well to be true."""
    for name, auc in sorted(aucs.items(), key=lambda pair: -pair[1]):
        if auc > bound:
            yield (
                f"features.{name}: alone it ranks the label with an AUC of {auc:.3f}, above features.proxy_auc of {bound}. Is "
                f"it known when the prediction is made? If it is, raise the bound; else leave it out."
            )


def _auc(ranked: Ranked) -> float:
    auc = area_under_roc(*ranked)
    return max(auc, 1 - auc)


def _value_weights(rows: int, side: ColumnProfile) -> tuple[npt.NDArray[np.float64], float, float]:
    """Of a class: the values that stand for its rows, how many rows each stands for, and how many rows have none."""
    values = np.array(side.percentiles or [], float)
    return values, side.present / max(len(values), 1), rows - side.present


def _best_with_missing(sides: list[tuple[npt.NDArray[np.float64], float, float]]) -> float:
    """The AUC with rows without a value below all others, or above all, whichever is greater."""
    levels = np.unique(np.concatenate([values for values, _, _ in sides]))
    counts = [
        np.bincount(np.searchsorted(levels, values), minlength=len(levels)) * rows_a_value
        if len(values)
        else np.zeros(len(levels))
        for values, rows_a_value, _ in sides
    ]
    missing = [[absent] for _, _, absent in sides]
    below = Ranked(*(np.concatenate([absent, count]) for absent, count in zip(missing, counts, strict=True)))
    above = Ranked(*(np.concatenate([count, absent]) for absent, count in zip(missing, counts, strict=True)))
    return max(_auc(below), _auc(above))


def _by_rate(sides: Sequence[tuple[int, ColumnProfile]]) -> Ranked:
    """Words in the order of their share of positives; the rare ones as one, the missing as another."""
    counts: dict[str | None, list[float]] = {}
    for class_index, (rows, side) in enumerate(sides):
        for word, count in side.counts.items():
            counts.setdefault(word, [0.0, 0.0])[class_index] += count
        counts.setdefault(None, [0.0, 0.0])[class_index] += rows - side.present
    frequent = [pair for pair in counts.values() if sum(pair) >= RARE_WORD_ROWS]
    rare = [pair for pair in counts.values() if sum(pair) < RARE_WORD_ROWS]
    pairs = np.array([*frequent, *([list(np.sum(rare, axis=0))] if rare else [])])
    pairs = pairs[pairs.sum(axis=1) > 0]
    order = np.argsort(pairs[:, 1] / pairs.sum(axis=1), kind="stable")
    return Ranked(pairs[order, 0], pairs[order, 1])
