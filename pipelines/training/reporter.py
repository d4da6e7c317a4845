"""A rank's connection to the driver: messages, one a line, on a socket of their own (the ranks' output is mixed)."""

from __future__ import annotations

import json
import os
import socket
import threading
import traceback
from types import TracebackType

from pipelines.errors import RankError, RingmillError, is_of_store
from pipelines.messages import Content, Handshake, Message, RankFailure


class Reporter:
    """Sends one rank's messages; each carries its rank and host."""

    def __init__(self, address: str, key: str, rank: int) -> None:
        host, _, port = address.rpartition(":")
        self.rank, self.host = rank, socket.gethostname()
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._file = self._socket.makefile("w", encoding="utf-8")
        self._turn = threading.Lock()
        self._reported_error: BaseException | None = None
        handshake = Message(rank=rank, host=self.host, content=Handshake(pid=os.getpid()))
        self._write(json.dumps({"key": key, **handshake.model_dump()}))

    def send(self, content: Content) -> None:
        """Send one message; a driver that is gone is no reason to stop here, the launcher ends the rank."""
        self._write(Message(rank=self.rank, host=self.host, content=content).model_dump_json())

    def _write(self, line: str) -> None:
        try:
            with self._turn:
                self._file.write(line + "\n")
                self._file.flush()
        except (BrokenPipeError, ConnectionResetError) as error:
            print(f"ringmill: the driver does not listen any more: {error}", flush=True)

    def error(self, error: BaseException) -> None:
        """Send an exception, once, with its traceback and the exit code that it stands for.

        A store that does not answer is a RankError: the run is tried again from its last checkpoint.
        """
        if error is self._reported_error:
            return
        self._reported_error = error
        text = "".join(traceback.format_exception(error))
        if isinstance(error, OSError) and is_of_store(error):
            error = RankError(f"the store did not answer ({error}). Once it does, run the same command again.")
        code = error.exit_code if isinstance(error, RingmillError) else 1
        self.send(RankFailure(type=type(error).__name__, message=str(error), traceback=text, exit_code=code))

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.error(error)
        self._file.close()
        self._socket.close()
