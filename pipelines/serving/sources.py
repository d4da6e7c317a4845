"""Where the service learns which model is current."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from pipelines.bundles.manifest import MANIFEST
from pipelines.config import load, read_config
from pipelines.errors import BundleError
from pipelines.io.filesystem import read_bytes
from pipelines.registry.source import Current

ALIAS_SOURCE = "pipelines.registry.source:AliasSource"
"""What resolves an alias of a pipeline's registry: called with the configuration and the alias, it gives a ModelSource."""


class ModelSource(Protocol):
    """Says which model is current. It is asked again and again, in a thread of its own."""

    def current(self) -> Current:
        """The current model; raises RingmillError when there is none or it can't be told."""


class PathSource:
    """One folder. Its version is the start of its manifest's SHA-256, so a folder that is published anew is a new version."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def current(self) -> Current:
        """The folder as it is now; raises BundleError when it has no manifest."""
        try:
            content = read_bytes(f"{self._uri.rstrip('/')}/{MANIFEST}")
        except OSError as error:
            raise BundleError(f"model {self._uri}: can't be loaded ({error}). Train one first, or fix the path.") from error
        return Current(hashlib.sha256(content).hexdigest()[:12], self._uri)


def model_source(model: str, config: Path | None) -> ModelSource:
    """A source for a path or URI, or with a configuration for an alias of its registry, such as champion."""
    if config is None:
        return PathSource(model)
    source: ModelSource = load(ALIAS_SOURCE, "--model")(read_config(config), model)
    return source
