"""A model against the champion on the same test rows."""

from __future__ import annotations

from pipelines.config import ChampionGate
from pipelines.flows.context import Context
from pipelines.registry.gate import Comparison
from pipelines.registry.versions import ModelVersion


def compare(context: Context, uri: str, champion: ModelVersion, gate: ChampionGate) -> Comparison:
    """The paired interval of a model's metric less the champion's, on the interval's test rows that both score."""
    raise NotImplementedError
