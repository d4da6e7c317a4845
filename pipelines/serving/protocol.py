"""HTTP as uvicorn speaks it, with a bound on requests that a client sends ahead of their answers, one write an answer, and a
fast path for requests to score.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, NamedTuple, cast

from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pipelines.serving.fast_path import FastPath, WholeRequest

MOST_AHEAD = 32
HEAD = b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\ncontent-type: application/json\r\nx-request-id: %b\r\n%b\r\n"
HOLD_SECONDS = 0.05  # for a body that comes after its head


class TooFarAheadError(Exception):
    """Raised, for the parser to stop, when a client has sent more requests ahead than may wait."""


class JoinedWrites:
    """A transport that sends what is written in one step of the event loop together.

    Uvicorn writes head and body of an answer one after the other. Each is a system call that wakes the client, and for answers
    as small as a prediction's that is a third of the time.
    """

    def __init__(self, transport: asyncio.WriteTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send data at the end of this step."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def write_now(self, data: bytes) -> None:
        """Send data that is an answer of its own."""
        self._flush()
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection once all data is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()

    def __getattr__(self, name: str) -> Any:
        """All else is the transport's own."""
        return getattr(self._transport, name)


class BoundedProtocol(HttpToolsProtocol):
    """A connection on which `MOST_AHEAD` requests may wait for the answer to the one before. A client that sends more gets 400
    and is disconnected.

    Uvicorn alone reads on after each answer, however many requests wait. A client that sends without reading would fill the
    memory, and hold up all others while its requests are parsed.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Join the writes of each answer."""
        self.joined = JoinedWrites(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self.joined))

    def on_message_begin(self) -> None:
        """Stop when too many requests wait."""
        if len(self.pipeline) >= MOST_AHEAD:
            raise TooFarAheadError
        super().on_message_begin()

    def on_response_complete(self) -> None:
        """Start the next request, and read on only when no other waits."""
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()


class _Held(NamedTuple):
    """A request that waits for its body, when its head came, and the application that may take it."""

    cycle: RequestResponseCycle
    app: ASGI3Application
    started: float


class FastProtocol(BoundedProtocol):
    """A connection whose requests go to the fast path if that takes them, once their bodies are whole.

    The application gets those that it does not take, and those whose body does not follow within `HOLD_SECONDS`.
    """

    def __init__(self, *args: Any, fast_path: FastPath, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fast_path = fast_path
        self._held: _Held | None = None
        self._hold: asyncio.TimerHandle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self.flow.write_paused or not self._fast_path.takes(cast("Scope", cycle.scope)):
            super()._start_asgi_task(cycle, app)
            return
        self._held = _Held(cycle, app, time.perf_counter())
        if not cycle.more_body:  # it waited for the answer to another one
            self._offer()

    def data_received(self, data: bytes) -> None:
        """Parse data; a request whose body is not whole after it gets little time."""
        super().data_received(data)
        if self._held and self._hold is None:
            self._hold = self.loop.call_later(HOLD_SECONDS, self._hand_over)

    def on_message_complete(self) -> None:
        """Offer the request that waited for its body."""
        super().on_message_complete()
        if self._held:
            self._offer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the application note a request whose body never came."""
        super().connection_lost(exc)
        if self._held:
            self._hand_over()

    def _offer(self) -> None:
        cycle, app, started = self._release()
        hand_over = partial(super()._start_asgi_task, cycle, app)
        scope = cast("Scope", cycle.scope)
        request = WholeRequest(scope, bytes(cycle.body), started, partial(self._respond, cycle), hand_over)
        if not self._fast_path.offer(request):
            hand_over()

    def _hand_over(self) -> None:
        cycle, app, _ = self._release()
        super()._start_asgi_task(cycle, app)

    def _release(self) -> _Held:
        """The request that is held, which then is no more."""
        held, self._held = self._held, None
        assert held is not None
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        return held

    def _respond(self, cycle: RequestResponseCycle, request_id: str, body: bytes) -> None:
        """Send an answer with status 200, unless the client is gone."""
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        default = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        close = b"" if cycle.keep_alive else b"connection: close\r\n"
        self.joined.write_now(HEAD % (default, len(body), request_id.encode(), close) + body)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
