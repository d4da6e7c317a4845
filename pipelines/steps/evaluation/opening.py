"""How the report opens: one paragraph, and the same in a few tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.config import Pipeline
from pipelines.evaluation.bootstrap import ConfidenceInterval
from pipelines.evaluation.report import Tile, shown_bounds
from pipelines.evaluation.verdict import PRIMARY, outcome, spoken, verdict
from pipelines.steps.evaluation.assessment import Assessment
from pipelines.steps.evaluation.confidence import Confidence
from pipelines.steps.evaluation.predictions import EvaluatedPredictions

NAN = float("nan")
GOOD, BAD, NEITHER = "good", "bad", ""


def opening(config: Pipeline, evaluated: EvaluatedPredictions, confidence: Confidence | None, assessment: Assessment) -> str:
    """The paragraph: is the model better than the baselines and the champion, by how much, how certain, and does it pass."""
    return verdict(
        config.task.kind,
        _primary(config, evaluated, confidence),
        _differences(config, evaluated, confidence),
        assessment.gate,
        config.evaluate.confidence,
        replicates=config.evaluate.replicates,
        champion=assessment.champion,
    )


def tiles(
    config: Pipeline, evaluated: EvaluatedPredictions, confidence: Confidence | None, assessment: Assessment
) -> list[Tile]:
    """The model's first metric, its differences from each baseline and from the champion, and the gate."""
    metric = PRIMARY[config.task.kind]
    own = _primary(config, evaluated, confidence)
    first = Tile(
        f"{spoken(metric)} on {evaluated.metrics['test']['rows']:,.0f} test rows", f"{own.estimate:.4f}", shown_bounds(own)
    )
    return [first, *_compared(config, evaluated, confidence, assessment), _gate(assessment)]


def _compared(
    config: Pipeline, evaluated: EvaluatedPredictions, confidence: Confidence | None, assessment: Assessment
) -> Iterator[Tile]:
    metric = PRIMARY[config.task.kind]
    for name, difference in _differences(config, evaluated, confidence).items():
        yield _difference(f"{spoken(metric)} less {name}'s", metric, difference)
    if assessment.comparison:
        version, name, estimate, low, high = assessment.comparison.comparison
        yield _difference(
            f"{spoken(name)} less the champion's (version {version})", name, ConfidenceInterval(estimate, low, high)
        )


def _difference(label: str, metric: str, difference: ConfidenceInterval) -> Tile:
    result = outcome(metric, difference)
    tone = {"better": GOOD, "worse": BAD}.get(result, NEITHER)
    bounds = shown_bounds(difference)
    return Tile(label, f"{difference.estimate:+.4f}", f"{result}, {bounds}" if bounds else result, tone)


def _gate(assessment: Assessment) -> Tile:
    missed = assessment.gate.missed
    rules = len(assessment.gate.bounds)
    note = f"{len(missed)} of its rules missed" if missed else f"{rules} rule{'s' if rules > 1 else ''}"
    return Tile("gate", "missed" if missed else "passed", note, BAD if missed else GOOD)


def _primary(config: Pipeline, evaluated: EvaluatedPredictions, confidence: Confidence | None) -> ConfidenceInterval:
    name = PRIMARY[config.task.kind]
    return confidence.model[name] if confidence else ConfidenceInterval(evaluated.metrics["test"][name], NAN, NAN)


def _differences(
    config: Pipeline, evaluated: EvaluatedPredictions, confidence: Confidence | None
) -> Mapping[str, ConfidenceInterval]:
    """The first metric less each baseline's, without an interval where there is none."""
    primary, own = PRIMARY[config.task.kind], _primary(config, evaluated, confidence)
    return {
        without_underscores(name): confidence.differences[name][primary]
        if confidence and name in confidence.differences
        else ConfidenceInterval(own.estimate - of["test"][primary], NAN, NAN)
        for name, of in evaluated.baselines.items()
    }


def without_underscores(name: str) -> str:
    """A name from a configuration, as a report writes it."""
    return name.replace("_", " ")
