"""The JSON API of setup/rest_server.py with faults, scripted request by request: a fault is a function that answers one."""

from __future__ import annotations

import gzip
import importlib.util
import json
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent

if TYPE_CHECKING:
    from setup import rest_server
else:
    # setup/ holds scripts, and is no package.
    spec = importlib.util.spec_from_file_location("rest_server", ROOT / "setup" / "rest_server.py")
    rest_server = importlib.util.module_from_spec(spec)
    sys.modules["rest_server"] = rest_server
    spec.loader.exec_module(rest_server)

read_rows = rest_server.read_rows
Fault = Callable[["FaultyHandler", "rest_server.Seen"], None]
Row = dict[str, Any]


class FaultyApi(rest_server.JsonApi):
    """Answers each request by the next of `script`, where None is a good answer; after the script, by `then`.

    `edits` change the rows just before the request of that number (from 1) is answered.
    """

    def __init__(self, rows: list[Row], time_column: str = "") -> None:
        super().__init__(rows, time_column, handler=FaultyHandler)
        self.script: deque[Fault | None] = deque()
        self.then: Fault | None = None
        self.edits: dict[int, Callable[[list[Row]], object]] = {}

    @property
    def requested(self) -> list[str]:
        """The page (or cursor) that each request was for; empty for one that named none."""
        return [seen.query.get("page", seen.query.get("cursor", "")) for seen in self.requests]

    @property
    def gaps(self) -> list[float]:
        """Seconds between requests."""
        return [later.at - earlier.at for earlier, later in pairwise(self.requests)]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hung up."""


class FaultyHandler(rest_server.Handler):
    """Answers GET, or fails to."""

    server: FaultyApi

    def respond(self, seen: rest_server.Seen) -> None:
        """Do what the script says."""
        edit = self.server.edits.pop(len(self.server.requests), None)
        if edit:
            edit(self.server.rows)
        fault = self.server.script.popleft() if self.server.script else self.server.then
        if fault:
            fault(self, seen)
        else:
            super().respond(seen)

    def good(self, seen: rest_server.Seen) -> bytes:
        """The body of a good answer."""
        return json.dumps(self.server.answer(seen.path, seen.query)[0]).encode()


@contextmanager
def serving(rows: list[Row], time_column: str = "") -> Iterator[FaultyApi]:
    """A server on a free port, stopped at the end."""
    with FaultyApi(rows, time_column) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def status(code: int, body: str = "", **headers: str) -> Fault:
    """Answer with a status; of header names _ is written as -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.send(code, body.encode(), named)


def text(body: str | bytes, kind: str = "application/json") -> Fault:
    """Answer 200 with a body."""
    content = body if isinstance(body, bytes) else body.encode()
    return lambda handler, _: handler.send(200, content, {"Content-Type": kind})


def content(value: object) -> Fault:
    """Answer 200 with a value as JSON."""
    return text(json.dumps(value))


def slow(seconds: float) -> Fault:
    """Answer well, but late."""

    def _slow(handler: FaultyHandler, seen: rest_server.Seen) -> None:
        time.sleep(seconds)
        handler.send(200, handler.good(seen))

    return _slow


def drops(seconds: float) -> Fault:
    """Answer well, a byte at a time, each so long after the one before."""

    def _drops(handler: FaultyHandler, seen: rest_server.Seen) -> None:
        body = handler.good(seen)
        handler.send(200, b"", {"Content-Length": str(len(body))})
        for byte in body:
            handler.wfile.write(bytes([byte]))
            time.sleep(seconds)

    return _drops


def reset(handler: FaultyHandler, seen: rest_server.Seen) -> None:
    """Reset the connection in place of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def short(handler: FaultyHandler, seen: rest_server.Seen) -> None:
    """Send half of what Content-Length says."""
    body = handler.good(seen)
    handler.send(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
    handler.close_connection = True


def chunked(handler: FaultyHandler, seen: rest_server.Seen) -> None:
    """Answer well, in two chunks."""
    body = handler.good(seen)
    _send_chunks(handler, [body[:7], body[7:], b""])


def short_chunk(handler: FaultyHandler, seen: rest_server.Seen) -> None:
    """Answer in chunks of which the last never comes."""
    _send_chunks(handler, [handler.good(seen)[:7]])
    handler.close_connection = True


def zipped(handler: FaultyHandler, seen: rest_server.Seen) -> None:
    """Answer well, compressed as the request accepts."""
    assert "gzip" in seen.headers["accept-encoding"]
    body = gzip.compress(handler.good(seen))
    handler.send(200, body, {"Content-Encoding": "gzip", "Content-Length": str(len(body))})


def _send_chunks(handler: FaultyHandler, chunks: list[bytes]) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for chunk in chunks:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))


def cut(handler: FaultyHandler, seen: rest_server.Seen) -> None:
    """Send half of the JSON as though that were all."""
    body = handler.good(seen)
    handler.send(200, body[: len(body) // 2])
