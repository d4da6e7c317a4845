"""An alias of a pipeline's registry, followed by a service that is to know which version is current."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.config import Pipeline
from pipelines.registry.aliases import champion


class Current(NamedTuple):
    """The version that callers see, the path or URI of its folder, and the threshold that was chosen for it, where one was."""

    version: str
    uri: str
    threshold: float | None = None


class AliasSource:
    """The version behind an alias or a version's number, read anew from the alias file at each call."""

    def __init__(self, config: Pipeline, name: str) -> None:
        self._config = config
        self._name = name

    def current(self) -> Current:
        """The version to serve now; raises what `champion` raises."""
        bundle = champion(self._config, self._name)
        return Current(str(bundle.version), bundle.uri, bundle.threshold)
