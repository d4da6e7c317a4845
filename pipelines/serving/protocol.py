"""HTTP as uvicorn speaks it, with a bound on requests that a client sends ahead of their answers, and one write an answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_AHEAD = 32


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
        super().connection_made(cast("asyncio.Transport", JoinedWrites(transport, self.loop)))

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
