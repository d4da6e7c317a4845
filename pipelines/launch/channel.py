"""The driver's end of the ranks' channel: the one port that they call, with the key that came with their task.

A caller's first line is JSON and holds the key; who has none is hung up on. A rank goes on with messages, one a line, which are
kept in the order in which they came. The proxy of a rank goes on in the words of MPICH's process manager: it is put through to
mpiexec, whose own port listens on the loopback alone.
"""

from __future__ import annotations

import hmac
import json
import queue
import secrets
import socket
import threading
from contextlib import suppress
from types import TracebackType

from pydantic import ValidationError

from pipelines.errors import ExternalError
from pipelines.messages import Gone, Message

LOOPBACK = "127.0.0.1"
HANDSHAKE_SECONDS = 10.0
HANDSHAKE_BYTES = 4096
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
            self._listener = socket.create_server((bind or host, port))
        except OSError as error:
            raise ExternalError(
                f"train.channel_port: cannot listen on {bind or host}:{port} ({error.strerror}). Free the port, or set 0 to "
                f"take any free one."
            ) from error
        self.address = f"{host}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, name="channel", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the run is over
                return
            threading.Thread(target=self._answer, args=(connection,), name="channel-caller", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            handshake = self._handshake(connection)
            if handshake is None:
                return
            if handshake == PROXY and self._proxies_to:
                with suppress(OSError):  # mpiexec is gone: so is the proxy, once it is hung up on
                    _relay(connection, self._proxies_to)
                return
            try:
                message = Message.model_validate(handshake)
            except ValidationError:  # of another release
                return
            self._listen(connection, message)

    def _handshake(self, connection: socket.socket) -> dict[str, object] | None:
        """The caller's first line, without the key; None when that is wrong, or nothing comes in time."""
        connection.settimeout(HANDSHAKE_SECONDS)
        line = b""
        try:
            while not line.endswith(b"\n") and len(line) < HANDSHAKE_BYTES:
                if not (byte := connection.recv(1)):  # what follows the line is not ours to read
                    return None
                line += byte
            handshake = json.loads(line)
        except (OSError, ValueError):
            return None
        connection.settimeout(None)
        received_key = str(handshake.pop("key", "")) if isinstance(handshake, dict) else ""
        is_authentic = hmac.compare_digest(received_key.encode(errors="replace"), self.key.encode())
        return handshake if is_authentic else None

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
        # Closing alone would leave the thread in accept(), and the port with it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


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
