"""What happened on a run's way: restarts, slow ranks, damaged checkpoints; kept also when the run fails."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from pipelines.runtime.context import Context
from pipelines.runtime.log_context import LOG_CONTEXT
from schemas.tables import RUN_EVENTS

LOG = logging.getLogger(__name__)

POSITION = ("rank", "host", "epoch", "step")


class Events:
    """Collects a run's events, logs each at a level, and writes them to run_events in the order in which they happened."""

    def __init__(self, context: Context, level: int = logging.INFO) -> None:
        self._context = context
        self._level = level
        self._rows: list[dict[str, Any]] = []
        self.attempt = 1

    def add(self, kind: str, message: str, position: dict[str, Any] | None = None) -> None:
        """Note an event and log its first line; `place` may name rank, host, epoch and step."""
        where = {name: (position or {}).get(name) for name in POSITION}
        now = datetime.now(UTC)
        self._rows.append(
            {"run_id": self._context.run_id, "at": now, "attempt": self.attempt, "kind": kind, "message": message, **where}
        )
        with LOG_CONTEXT.of_rank(where["rank"]):
            LOG.log(self._level, f"    {kind}: {message.splitlines()[0]}")

    def write(self) -> None:
        """Append them to the table; nothing happened, nothing is written."""
        if self._rows:
            self._context.lake.append_rows(RUN_EVENTS, self._rows)
            self._rows = []
