"""HTTP as uvicorn speaks it, with a bound on requests that a client sends ahead of their answers."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_AHEAD = 32


class TooFarAheadError(Exception):
    """Raised, for the parser to stop, when a client has sent more requests ahead than may wait."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection on which `MOST_AHEAD` requests may wait for the answer to the one before. A client that sends more gets 400
    and is disconnected.

    Uvicorn alone reads on after each answer, however many requests wait. A client that sends without reading would fill the
    memory, and hold up all others while its requests are parsed.
    """

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
