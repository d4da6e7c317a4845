"""An alias of a pipeline's registry, followed by a service that is to know which version is current."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.config import Pipeline
from pipelines.registry.aliases import champion


class CurrentModel(NamedTuple):
    """The version that callers see, its bundle's folder, and the threshold that its evaluation chose on validation."""

    version: str
    uri: str
    threshold: float | None


class AliasSource:
    """The version behind an alias or a version's number, read anew from the alias file at each call."""

    def __init__(self, config: Pipeline, name: str) -> None:
        self._config = config
        self._name = name

    def current(self) -> CurrentModel:
        """The version to serve now; raises what `champion` raises."""
        bundle = champion(self._config, self._name)
        return CurrentModel(str(bundle.version), bundle.uri, bundle.threshold)
