"""The gate before a model is used: every bound of the configuration against what was measured, with every reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.config import LOWER_IS_BETTER, EvaluateConfig, RegistryConfig

MOST_FEATURES = 10  # named in one reason


class Comparison(NamedTuple):
    """A model against the champion on the same test rows: its metric less the champion's, with the paired interval."""

    champion: int
    metric: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """What the gate decides by: metrics on test; the differences that the parity gate found, by what was compared; of each
    feature of the test split the drift from train; and the comparison with the champion, where there is one.
    """

    metrics: Mapping[str, float]
    parity: Mapping[str, float]
    drift: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    comparison: Comparison | None = None


def refusals(evidence: Evidence, registry: RegistryConfig, evaluate: EvaluateConfig) -> tuple[str, ...]:
    """Every reason to refuse a model; none when it passes."""
    return (
        *_metric_bounds(evidence.metrics, registry, evaluate),
        *_parity(evidence.parity, registry.parity),
        *_drift(evidence.drift, registry.drift.model_dump()),
        *_comparison(evidence.comparison, registry),
    )


def _metric_bounds(metrics: Mapping[str, float], registry: RegistryConfig, evaluate: EvaluateConfig) -> Iterator[str]:
    """Metrics beyond their floors and ceilings. A metric that was not measured is beyond any bound."""
    for key, bounds in (("evaluate.minimum", evaluate.minimum), ("registry.minimum", registry.minimum)):
        for name, bound in bounds.items():
            if not (value := metrics.get(name, math.nan)) >= bound:
                yield f"{name} on test is {value:.4f}; {key}.{name} is {bound:g}"
    ceilings = [("evaluate.maximum.", evaluate.maximum), ("registry.maximum.", registry.maximum)]
    if registry.calibration_error is not None:
        ceilings.append(("registry.", {"calibration_error": registry.calibration_error}))
    for key, bounds in ceilings:
        for name, bound in bounds.items():
            if not (value := metrics.get(name, math.nan)) <= bound:
                yield f"{name} on test is {value:.4f}; {key}{name} is {bound:g}"


def _parity(differences: Mapping[str, float], bound: float) -> Iterator[str]:
    if not differences:
        yield f"the bundle has no parity figures; expected differences of at most registry.parity, {bound:g}"
    for what, difference in differences.items():
        if not difference <= bound:
            yield f"{what} differ by {difference:g}; registry.parity is {bound:g}"


def _drift(drift: Mapping[str, Mapping[str, float | None]], bounds: Mapping[str, float | None]) -> Iterator[str]:
    for name, bound in bounds.items():
        if bound is None:
            continue
        if not drift:
            yield f"drift_metrics has no features of the test split; registry.drift.{name} is {bound:g}"
            continue
        moved = {feature: abs(value) for feature, of in drift.items() if (value := of.get(name)) is not None}
        beyond = sorted(((value, feature) for feature, value in moved.items() if not value <= bound), reverse=True)
        if beyond:
            named = ", ".join(f"{feature} {value:.3f}" for value, feature in beyond[:MOST_FEATURES])
            more = f" and {len(beyond) - MOST_FEATURES} more" if len(beyond) > MOST_FEATURES else ""
            yield f"{name} of {named}{more} from train to test; registry.drift.{name} is {bound:g}"


def _comparison(comparison: Comparison | None, registry: RegistryConfig) -> Iterator[str]:
    """Worse than the champion: the whole interval of the difference lies beyond the margin, or there is no interval."""
    if comparison is None or registry.champion is None:
        return
    margin = registry.champion.margin
    # As a loss, of which less is better.
    worse_by_at_least = comparison.low if comparison.metric in LOWER_IS_BETTER else -comparison.high
    if not worse_by_at_least <= margin:
        yield (
            f"worse than the champion, version {comparison.champion}: {comparison.metric} on the same test rows differs by "
            f"{comparison.difference:+.4f}, {registry.champion.level:.0%} interval {comparison.low:+.4f} to "
            f"{comparison.high:+.4f}; registry.champion.margin is {margin:g}"
        )


def features_drift(rows: Sequence[Mapping[str, object]]) -> dict[str, dict[str, float | None]]:
    """Rows of drift_metrics by feature."""
    return {str(row["feature"]): {name: _number(row[name]) for name in ("psi", "ks", "missing")} for row in rows}


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
