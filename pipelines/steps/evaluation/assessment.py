"""Whether a model is better than the champion, and whether it passes its gate, as evaluate's report says it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipelines.config import EvaluateConfig, RegistryConfig
from pipelines.errors import RingmillError
from pipelines.evaluation.bootstrap import ConfidenceInterval
from pipelines.evaluation.verdict import GateOutcome, against_champion
from pipelines.registry.gate import refusals
from pipelines.registry.versions import CHAMPION, ModelVersion, holder
from pipelines.runtime.context import Context
from pipelines.steps.evaluation.evidence import Measured, StoredComparison, compare_with, gather_evidence, rival
from pipelines.steps.registry import read_history

LOG = logging.getLogger(__name__)


class Assessment(NamedTuple):
    """The gate with all that publish will decide by, a sentence on the champion, and the comparison with it, if any."""

    gate: GateOutcome
    champion: str = ""
    comparison: StoredComparison | None = None


def assess(context: Context, model: Measured) -> Assessment:
    """Compare a model with the present champion, and hold it against the gate that publish will apply.

    A champion that can't be scored is no error here: the sentence says why, and publish refuses to go on.
    """
    champion = holder(read_history(context), CHAMPION)
    comparison, sentence = _compared(context, model, champion)
    evidence = gather_evidence(context, model, comparison.comparison if comparison else None)
    config = context.config
    own = gate_of(config.evaluate, model.metrics)
    bounds = [*own.bounds, *_bounds(config.registry, compared=comparison is not None)]
    return Assessment(
        GateOutcome(bounds, [*own.missed, *refusals(evidence, config.registry, EvaluateConfig())]), sentence, comparison
    )


def _compared(context: Context, model: Measured, champion: ModelVersion | None) -> tuple[StoredComparison | None, str]:
    gate = context.config.registry.champion
    if gate is None:
        return None, ""
    if champion is None:
        return None, "There is no champion yet to compare it with."
    if (other := rival(context, model, champion)) is None:
        return None, f"It is the champion itself, version {champion.version}."
    try:
        comparison = compare_with(context, model, other)
    except RingmillError as error:
        LOG.warning(f"  evaluate: not compared with the champion: {error}")
        return None, f"It could not be compared with the champion, version {other.version}: {error}"
    _, metric, difference, low, high = comparison.comparison
    return comparison, against_champion(other.version, metric, ConfidenceInterval(difference, low, high), gate.level)


def gate_of(config: EvaluateConfig, metrics: Mapping[str, float]) -> GateOutcome:
    """What the section `evaluate` demands of the test metrics, and which of it they miss."""
    least = [(f"{name} {metrics[name]:.4f} < {bound}", metrics[name] >= bound) for name, bound in config.minimum.items()]
    most = [(f"{name} {metrics[name]:.4f} > {bound}", metrics[name] <= bound) for name, bound in config.maximum.items()]
    return GateOutcome([*_limits(config.minimum, config.maximum)], [text for text, met in least + most if not met])


def _bounds(config: RegistryConfig, *, compared: bool) -> Iterator[str]:
    """What the section `registry` demands, in words."""
    yield from _limits(config.minimum, config.maximum)
    if config.calibration_error is not None:
        yield f"calibration error at most {config.calibration_error:g}"
    yield f"parity within {config.parity:g}"
    for name, bound in config.drift.model_dump().items():
        if bound is not None:
            yield f"{name} from train to test at most {bound:g}"
    if compared and config.champion:
        yield "not worse than the champion" + (f" by more than {config.champion.margin:g}" if config.champion.margin else "")


def _limits(minimum: Mapping[str, float], maximum: Mapping[str, float]) -> Iterator[str]:
    yield from (f"{name} at least {bound:g}" for name, bound in minimum.items())
    yield from (f"{name} at most {bound:g}" for name, bound in maximum.items())
