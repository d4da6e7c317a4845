"""How lineage events leave a job: as lines of a file, or as requests to a server. A failure is one warning and ends no job."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from pipelines.config import Pipeline
from pipelines.config.openlineage import FileTransport, HttpTransport, OpenLineageConfig
from pipelines.runtime.lineage_events import RunEvent
from pipelines.runtime.log_handler import TO_STDERR

LOG = logging.getLogger(__name__)

REFUSED = 300  # answers from here on did not take the event; redirects are not followed
MOST_FAILURES = 3  # in a row: a server that is down would cost each step its time-out


class EventSender:
    """Sends a job's events by its transport; warns once when that fails, and stops after several failures in a row."""

    def __init__(self) -> None:
        self._failures = 0
        self._has_warned = False

    def send(self, config: OpenLineageConfig, event: dict[str, Any]) -> None:
        """Send one event. Nothing is raised when it can't be sent."""
        transport = config.transport
        if self._failures >= MOST_FAILURES or not has_key(transport):
            return
        try:
            reason = _append(transport, event) if isinstance(transport, FileTransport) else _post(transport, event)
        except (HTTPError, OSError, ValueError) as error:
            # Not the message of a request's problem: it repeats the address.
            reason = f"{error.strerror}" if isinstance(error, OSError) and error.strerror else type(error).__name__
        self._failures = self._failures + 1 if reason else 0
        if reason:
            self.warn(
                f"{_subject(transport)}: an event was not sent ({reason}). {_remedy(transport)} The job goes on; after "
                f"{MOST_FAILURES} failures in a row it sends no more events."
            )

    def warn(self, problem: str) -> None:
        """Print the job's one warning about lineage; nothing when it has been printed."""
        if not self._has_warned:
            self._has_warned = True
            LOG.warning(problem, extra=TO_STDERR)


@dataclass
class ApplicationLineage:
    """What the events of one application share: how they are sent, and its own run, once the beginning of that was sent."""

    sender: EventSender = field(default_factory=EventSender)
    application: RunEvent | None = None


def check_transport(config: Pipeline) -> None:
    """Warn, as the job starts, where the variable with the server's key is not set."""
    transport = config.openlineage.transport if config.openlineage else None
    if isinstance(transport, HttpTransport) and not has_key(transport):
        LOG.warning(
            f"openlineage.transport.api_key: the environment variable {transport.api_key} is not set, so no lineage events are "
            f"sent. Set it to the server's key, or fix the name.",
            extra=TO_STDERR,
        )


def has_key(transport: FileTransport | HttpTransport) -> bool:
    """Whether the environment has the key that a transport names; true of one that names none."""
    return not isinstance(transport, HttpTransport) or transport.api_key is None or bool(os.environ.get(transport.api_key))


def _append(transport: FileTransport, event: dict[str, Any]) -> str | None:
    """Append an event as one line, whole or not at all, also where other jobs append to the same file."""
    path = Path(transport.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f"{json.dumps(event, ensure_ascii=False)}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if os.write(descriptor, line) < len(line):
            os.ftruncate(descriptor, size)
            return "the disk is full"
    finally:
        os.close(descriptor)
    return None


def _post(transport: HttpTransport, event: dict[str, Any]) -> str | None:
    """Post an event; what is wrong with the answer, None when the server took it."""
    headers = {"Content-Type": "application/json"}
    if transport.api_key:
        headers["Authorization"] = f"Bearer {os.environ[transport.api_key]}"
    timeout = urllib3.Timeout(connect=transport.timeout_seconds, read=transport.timeout_seconds)
    with urllib3.PoolManager(timeout=timeout) as pool:
        answer = pool.request(
            "POST",
            f"{transport.url}/{transport.endpoint.lstrip('/')}",
            body=json.dumps(event).encode(),
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,  # what else it answers is of no interest, however long it is
        )
        answer.close()
    return None if answer.status < REFUSED else f"the server answered {answer.status}; expected 200 to 299"


def _subject(transport: FileTransport | HttpTransport) -> str:
    return f"openlineage.transport.{'path' if isinstance(transport, FileTransport) else 'url'}"


def _remedy(transport: FileTransport | HttpTransport) -> str:
    if isinstance(transport, FileTransport):
        return f"See that {Path(transport.path).absolute()} can be written."
    return "See that the server is up and that url, endpoint and api_key are its."
