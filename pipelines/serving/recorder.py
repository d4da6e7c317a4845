"""What is kept of every answer: a count and its seconds for the metrics, and a line of the access log."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, NamedTuple

import orjson
from starlette.types import Scope

from pipelines.serving.metrics import Metrics

ACCESS = logging.getLogger("pipelines.serving.access")


class RequestOutcome(NamedTuple):
    """How a request ended: its route, status and seconds, and what it was scored by, with its rows, where it was."""

    route: str
    status: int
    seconds: float
    served: dict[str, Any] | None


class Recorder:
    """Counts answers, and logs them. The lines of one step of the event loop are written together, after the answers."""

    def __init__(self, metrics: Metrics, *, access_log: bool) -> None:
        self._metrics, self._access_log = metrics, access_log
        self._lines: list[bytes] = []

    def record(self, scope: Scope, request_id: str, outcome: RequestOutcome) -> None:
        """Keep an answer; called on the event loop."""
        self._metrics.observe_request(outcome.route, outcome.status, outcome.seconds)
        if not self._access_log:
            return
        client = scope.get("client")
        line = {
            "time": time.time(),
            "request": request_id,
            "method": scope["method"],
            "path": scope["path"][:200],
            "route": outcome.route,
            "status": outcome.status,
            "milliseconds": round(outcome.seconds * 1000, 3),
            "client": client[0] if client else None,
            **(outcome.served or {}),
        }
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(orjson.dumps(line))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        ACCESS.info(b"\n".join(lines).decode())
