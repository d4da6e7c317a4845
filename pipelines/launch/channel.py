"""The driver's end of the ranks' channel: the one port that they call, with the key that came with their task.

A caller's first line is JSON and holds the key; who has none is hung up on. A rank goes on with messages, one a line, which are
kept in the order in which they came. The proxy of a rank goes on in the words of MPICH's process manager: it is put through to
mpiexec, whose own port listens on the loopback alone.
"""

from __future__ import annotations

import queue
import secrets
import socket
import threading
from contextlib import suppress
from types import TracebackType

from pydantic import ValidationError

from pipelines.errors import ExternalError
from pipelines.launch.handshakes import FirstLine, Handshakes
from pipelines.messages import Gone, Message

LOOPBACK = "127.0.0.1"
BACKLOG = 1024  # callers that wait in the kernel
PROXY = {"kind": "proxy"}  # what a proxy's first line holds beside the key


class Channel:
    """Listens for ranks, and for their proxies, whom it puts through to `proxies_to`, a port of the loopback.

    `host` is the name that they call; the port is opened at `bind`, where another address is the machine's own.
    """

    def __init__(self, host: str, port: int, proxies_to: int | None = None, bind: str | None = None) -> None:
        self.key = secrets.token_hex(16)
        self.messages: queue.Queue[Message] = queue.Queue()
        self._proxies_to = proxies_to
        try:
            listener = socket.create_server((bind or host, port), backlog=BACKLOG)
        except OSError as error:
            raise ExternalError(
                f"train.channel_port: cannot listen on {bind or host}:{port} ({error.strerror}). Free the port, or set 0 to "
                f"take any free one."
            ) from error
        self.address = f"{host}:{listener.getsockname()[1]}"
        self._handshakes = Handshakes(listener, self.key, self._admit)

    def _admit(self, connection: socket.socket, first_line: FirstLine) -> None:
        threading.Thread(target=self._answer, args=(connection, first_line), name="channel-caller", daemon=True).start()

    def _answer(self, connection: socket.socket, first_line: FirstLine) -> None:
        with connection:
            if first_line == PROXY and self._proxies_to:
                with suppress(OSError):  # mpiexec is gone: so is the proxy, once it is hung up on
                    _relay(connection, self._proxies_to)
                return
            try:
                handshake = Message.model_validate(first_line)
            except ValidationError:  # of another release
                return
            self._listen(connection, handshake)

    def _listen(self, connection: socket.socket, handshake: Message) -> None:
        """Keep a rank's messages; when it hangs up, that is one too."""
        self.messages.put(handshake)
        why = "it hung up"
        try:
            with connection.makefile(encoding="utf-8") as lines:
                for line in lines:
                    self.messages.put(Message.model_validate_json(line))
        except (OSError, ValueError) as error:
            why = str(error)
        self.messages.put(Message(rank=handshake.rank, host=handshake.host, content=Gone(message=why)))

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handshakes.close()


def _relay(caller: socket.socket, port: int) -> None:
    with socket.create_connection((LOOPBACK, port)) as called:
        back = threading.Thread(target=_copy, args=(called, caller), name="channel-proxy", daemon=True)
        back.start()
        _copy(caller, called)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes from source to sink until one of them hangs up, then hang up on the other."""
    try:
        while content := source.recv(1 << 16):
            sink.sendall(content)
    except OSError:
        pass  # as if it had hung up
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
