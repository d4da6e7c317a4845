"""What a job is at work on: every line of its log is about that, and says so where `--log-format json` wants JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a job's help imports neither
    from pipelines.config import Interval, NotifyConfig

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_rank: ContextVar[int | None] = ContextVar("rank", default=None)


def visible(text: str) -> str:
    """Text whose control characters, but for tabs and line ends, are written out: in a received value they are no commands
    to a terminal.
    """
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


class LogContext:
    """The process's job, and the pipeline, run, step and interval that it is at work on, each None until it is known."""

    def __init__(self) -> None:
        self.begin("", json_lines=False)

    def begin(self, job: str, *, json_lines: bool) -> None:
        """A job begins: forget the one before."""
        self.json_lines = json_lines
        self.job = job
        self.pipeline: str | None = None
        self.run_id: str | None = None
        self.step: str | None = None
        self.interval: Interval | None = None
        self.webhook: NotifyConfig | None = None

    def at(self, step: str | None, interval: Interval | None) -> None:
        """What follows is of a step and interval."""
        self.step, self.interval = step, interval

    @contextmanager
    def of_rank(self, rank: int | None) -> Iterator[None]:
        """Within it lines of this thread are about a rank."""
        token = _rank.set(rank)
        try:
            yield
        finally:
            _rank.reset(token)

    def fields(self) -> dict[str, Any]:
        """Pipeline, job, step, run and interval (in ISO, with the zone), and the rank where lines are about one."""
        start, end = (self.interval.start, self.interval.end) if self.interval else (None, None)
        rank = _rank.get()
        return {
            "pipeline": self.pipeline,
            "job": self.job,
            "step": self.step,
            "run_id": self.run_id,
            "interval_from": start and start.isoformat(),
            "interval_to": end and end.isoformat(),
            **({} if rank is None else {"rank": rank}),
        }

    def json_line(self, level: str, message: str, **more: Any) -> str:
        """One line of the log as a JSON object, without its line end."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"time": time, "level": level, **self.fields(), "message": message, **more}, ensure_ascii=False)


LOG_CONTEXT = LogContext()
"""The one of this process."""


def wants_json(argv: Sequence[str]) -> bool:
    """Whether arguments ask for JSON; known before they are parsed, since they may be wrong."""
    return "--log-format=json" in argv or ("--log-format", "json") in pairwise(argv)
