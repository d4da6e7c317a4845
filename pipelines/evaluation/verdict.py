"""The report's first paragraph: is the model better, by how much, how certain is that, and did it pass its gate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipelines.config import LOWER_IS_BETTER, NEITHER_IS_BETTER
from pipelines.evaluation.bootstrap import ConfidenceInterval

PRIMARY = {"binary": "auc", "multiclass": "accuracy", "regression": "mae"}
"""The metric of each kind of task by which models are compared first."""
SPOKEN = {"auc": "AUC", "mae": "mean absolute error", "rmse": "root mean square error", "r2": "R²"}


class GateOutcome(NamedTuple):
    """The bounds that the model was checked against on test, in words, and those that it misses."""

    bounds: Sequence[str]
    missed: Sequence[str]


def verdict(
    task: str,
    metric: ConfidenceInterval,
    differences: Mapping[str, ConfidenceInterval],
    gate: GateOutcome | None,
    confidence: float,
    *,
    replicates: int,
    champion: str = "",
) -> str:
    """One paragraph. `metric` is the model's `PRIMARY` one on test, `differences` the same less that of each other model, and
    `champion` what `against_champion` says of the model in use. Without a gate nothing is said of one.
    """
    name = PRIMARY[task]
    sentences = [f"On test the model has {_article(spoken(name))} of {_value(metric, confidence)}."]
    sentences += [_compared(name, other, difference, confidence) for other, difference in differences.items()]
    if not differences:
        sentences.append("No baseline is declared that predicts the same rows, so nothing says whether that is good.")
    elif replicates:
        sentences.append(f"Intervals are bootstrap intervals of {replicates:,} replicates that all models share.")
    return " ".join(filter(None, [*sentences, champion, _gate(gate)]))


def against_champion(version: int, metric: str, difference: ConfidenceInterval, confidence: float) -> str:
    """The sentence on the model and the champion: `difference` is the model's metric less the champion's on the same rows."""
    return _compared(metric, f"the champion, version {version}", difference, confidence)


def outcome(metric: str, difference: ConfidenceInterval) -> str:
    """How a model compares by the interval of a difference: better, worse, or neither for certain."""
    if math.isnan(difference.low) or difference.low <= 0 <= difference.high or metric in NEITHER_IS_BETTER:
        return "no clear difference"
    return "better" if (difference.estimate < 0) == (metric in LOWER_IS_BETTER) else "worse"


def spoken(metric: str) -> str:
    """A metric's name in a sentence."""
    return SPOKEN.get(metric, metric.replace("_", " "))


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aAR' else 'a'} {noun}"


def _value(interval: ConfidenceInterval, confidence: float) -> str:
    return f"{interval.estimate:.4f}" + ("" if math.isnan(interval.low) else f" ({_bounds(interval, confidence)})")


def _bounds(interval: ConfidenceInterval, confidence: float) -> str:
    return f"{confidence:.0%} interval {interval.low:.4f} to {interval.high:.4f}"


def _compared(metric: str, other: str, difference: ConfidenceInterval, confidence: float) -> str:
    direction = "higher" if difference.estimate > 0 else "lower"
    size = ConfidenceInterval(*(value if difference.estimate > 0 else -value for value in difference))
    bounds = ConfidenceInterval(size.estimate, min(size.low, size.high), max(size.low, size.high))
    by = f"its {spoken(metric)} is {direction} by {_value(bounds, confidence)}"
    if math.isnan(difference.low):
        return f"Compared with {other}, {by}; there is no interval that says how certain that is."
    comparison = outcome(metric, difference)
    if comparison == "no clear difference":
        return f"It is not clearly better or worse than {other}: {by}, which includes 0."
    return f"It is {comparison} than {other}: {by}."


def _gate(gate: GateOutcome | None) -> str:
    if gate is None:
        return ""
    if not gate.bounds:
        return "It had no gate to pass."
    if gate.missed:
        return f"It does not pass its gate: {', '.join(gate.missed)}."
    return f"It passes its gate: {', '.join(gate.bounds)}."
