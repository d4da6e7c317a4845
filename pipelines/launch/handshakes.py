"""Callers of the ranks' channel that have not shown the key yet: all on one thread, few at a time, and not for long.

Whoever can reach the port may connect to it, ten thousand times too. A stranger costs a descriptor for a moment, never a
thread, and the channel goes on to accept whatever strangers do.
"""

from __future__ import annotations

import errno
import hmac
import json
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

FirstLine = dict[str, Any]
SECONDS_TO_AUTHENTICATE = 10.0
SECONDS_OF_GRACE = 0.25  # in which a caller is not sent away for the sake of another
MOST_WAITING = 256
MOST_BYTES = 4096
SECONDS_BETWEEN_LOOKS = 0.05
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass
class _Caller:
    since: float = field(default_factory=time.monotonic)
    line: bytes = b""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since


class Handshakes:
    """Accepts callers, and hands each whose first line is JSON with the key, and that line without it, to `admit`."""

    def __init__(self, listener: socket.socket, key: str, admit: Callable[[socket.socket, FirstLine], None]) -> None:
        self._listener, self._key, self._admit = listener, key, admit
        self._waiting: dict[socket.socket, _Caller] = {}  # the oldest first
        self._selector = selectors.DefaultSelector()
        self._over = False
        listener.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="channel", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up on all who still wait, and stop listening."""
        self._over = True
        # Closing alone would leave the thread in select(), and the port with it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with self._selector:
            while not self._over:
                self._listen_if_there_is_room()
                for key, _ in self._selector.select(SECONDS_BETWEEN_LOOKS if self._waiting else None):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._read(key.fileobj)
                self._hang_up_on_the_late()
            for connection in list(self._waiting):
                self._hang_up(connection)

    def _listen_if_there_is_room(self) -> None:
        """While it is full, others wait in the kernel until the oldest has had its grace."""
        room = len(self._waiting) < MOST_WAITING or next(iter(self._waiting.values())).seconds > SECONDS_OF_GRACE
        listening = self._listener in self._selector.get_map()
        if room and not listening:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif listening and not room:
            self._selector.unregister(self._listener)

    def _accept(self) -> None:
        if self._over:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._hang_up(next(iter(self._waiting)))
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._make_room()
            return  # else the caller is gone again
        connection.setblocking(False)
        self._waiting[connection] = _Caller()
        self._selector.register(connection, selectors.EVENT_READ)

    def _make_room(self) -> None:
        """Descriptors are exhausted: give back one, or wait for others of this process to do so."""
        if self._waiting:
            self._hang_up(next(iter(self._waiting)))
        else:
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _read(self, connection: socket.socket) -> None:
        if (caller := self._waiting.get(connection)) is None:  # it has just made room for another
            return
        try:
            # What follows the line is not ours to read.
            seen = connection.recv(MOST_BYTES, socket.MSG_PEEK)
            caller.line += connection.recv(seen.find(b"\n") + 1 or len(seen) or 1)
        except BlockingIOError:
            return
        except OSError:
            seen = b""
        if caller.line.endswith(b"\n") and (message := self._checked(caller.line)) is not None:
            self._forget(connection)
            connection.setblocking(True)
            self._admit(connection, message)
        elif not seen or caller.line.endswith(b"\n") or len(caller.line) >= MOST_BYTES:
            self._hang_up(connection)

    def _checked(self, line: bytes) -> FirstLine | None:
        """The caller's first line, without the key; None when that is wrong."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return None
        received = str(message.pop("key", "")) if isinstance(message, dict) else ""
        known = hmac.compare_digest(received.encode(errors="replace"), self._key.encode())
        return message if known else None

    def _hang_up_on_the_late(self) -> None:
        for connection, caller in list(self._waiting.items()):
            if caller.seconds < SECONDS_TO_AUTHENTICATE:
                return
            self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        self._forget(connection)
        with suppress(OSError):
            connection.close()

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._waiting[connection]
