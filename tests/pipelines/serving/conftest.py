"""Models and a service that the modules share; nothing changes either."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.serving.running import Running, running
from tests.pipelines.serving.tiny import export_tiny


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published model."""
    return export_tiny(tmp_path_factory.mktemp("models") / "first")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with other weights."""
    return export_tiny(tmp_path_factory.mktemp("models") / "second", seed=2, run_id="run2")


@pytest.fixture(scope="module")
def service(published: Path) -> Iterator[Running]:
    """A service of the first model, with low bounds."""
    with running(published, "--rows", "40", "--batch-rows", "16", "--body-bytes", "1100000") as server:
        yield server
