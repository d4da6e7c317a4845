"""The driver's end of the ranks' channel: messages in the order in which they came, from callers that hold the key."""

from __future__ import annotations

import hmac
import json
import queue
import secrets
import socket
import threading
from types import TracebackType
from typing import Any

from pipelines.errors import ExternalError

Message = dict[str, Any]


class Channel:
    """Listens for ranks; a caller whose first message does not hold the key is hung up on."""

    def __init__(self, host: str, port: int) -> None:
        self.key = secrets.token_hex(16)
        self.messages: queue.Queue[Message] = queue.Queue()
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            raise ExternalError(
                f"train.channel_port: cannot listen on {host}:{port} ({error.strerror}). Free the port, or set 0 to take "
                f"any free one."
            ) from error
        self.address = f"{host}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="channel", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the run is over
                return
            threading.Thread(target=self._listen, args=(connection,), name="channel-rank", daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        with connection, connection.makefile(encoding="utf-8") as lines:
            try:
                hello = json.loads(lines.readline(4096))
                known = isinstance(hello, dict) and hmac.compare_digest(str(hello.pop("key", "")), self.key)
            except (OSError, ValueError):
                known = False
            if not known:
                return
            self.messages.put(hello)
            try:
                for line in lines:
                    self.messages.put(json.loads(line))
            except (OSError, ValueError) as error:
                who = {"rank": hello["rank"], "host": hello["host"]}
                self.messages.put({**who, "kind": "lost", "message": str(error)})

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()
