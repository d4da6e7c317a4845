"""Models taking each other's place within a process, the seam of aliases, and a queue that is full."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipelines.errors import BundleError, ConfigError, DataError
from pipelines.serving.app import build_app
from pipelines.serving.gate import Gate
from pipelines.serving.service import Service
from pipelines.serving.settings import Limits, Settings
from pipelines.serving.sources import Current, PathSource, model_source
from tests.conftest import ROOT
from tests.pipelines.serving.running import ROW


class Listed:
    """A source that gives one model after the other, or raises."""

    def __init__(self, *steps: Current | Exception) -> None:
        self._steps = list(steps)

    def current(self) -> Current:
        """The next step; the last one for ever."""
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, Exception):
            raise step
        return step


def test_a_replaced_model_leaves_nothing_behind(published: Path, other: Path) -> None:
    service = Service(Listed(*(Current(str(n), str((published, other)[n % 2])) for n in range(6))), Settings())
    service.load_first()
    gc.disable()
    try:
        for number in range(1, 6):
            old = weakref.ref(service.model)
            assert asyncio.run(service.refresh())
            assert (service.model.version, old()) == (str(number), None)
        assert not asyncio.run(service.refresh())  # the same one again
    finally:
        gc.enable()


def test_a_source_or_a_model_that_fails_leaves_the_old_one(published: Path, tmp_path: Path) -> None:
    first = Current("1", str(published))
    missing = Current("2", str(tmp_path / "none"))
    service = Service(Listed(first, missing, DataError("no alias"), first), Settings())
    service.load_first()
    for _ in range(3):
        assert not asyncio.run(service.refresh())
        assert service.model.version == "1"
    with pytest.raises(BundleError, match="can't be loaded"):
        PathSource(str(tmp_path / "none")).current()


def test_with_a_configuration_the_registry_resolves_the_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("stub_registry")
    module.AliasSource = lambda config, alias: (config.pipeline, alias)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stub_registry", module)
    monkeypatch.setattr("pipelines.serving.sources.ALIAS_SOURCE", "stub_registry:AliasSource")
    source: Any = model_source("champion", ROOT / "conf" / "flights.yaml")
    assert source == ("flights", "champion")
    monkeypatch.setattr("pipelines.serving.sources.ALIAS_SOURCE", "no_registry:AliasSource")
    with pytest.raises(ConfigError, match="--model: cannot load 'no_registry:AliasSource'"):
        model_source("champion", ROOT / "conf" / "flights.yaml")


async def ask(service: Service, *bodies: Any) -> list[tuple[int, dict[bytes, bytes], Any]]:
    """Requests to `/predict` at once, without a server: statuses, headers and answers."""
    app = Gate(build_app(service), service)

    async def one(body: Any) -> tuple[int, dict[bytes, bytes], Any]:
        sent: list[Any] = []
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [], "query_string": b"", "client": None}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])

    return list(await asyncio.gather(*(one(body) for body in bodies)))


def test_a_full_queue_is_503_and_says_when_to_try_again(published: Path) -> None:
    service = Service(
        PathSource(str(published)), Settings(limits=Limits(queue_rows=3, retry_after_seconds=7), access_log=False)
    )
    service.load_first()
    answers = asyncio.run(ask(service, [ROW] * 2, [ROW] * 2, ROW))
    assert [status for status, _, _ in answers] == [200, 503, 200]
    _, headers, content = answers[1]
    assert headers[b"retry-after"] == b"7"
    assert content["error"].startswith("2 rows wait to be scored; expected at most 3.")
