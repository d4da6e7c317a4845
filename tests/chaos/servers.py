"""The servers that the kill loop takes down: object storage behind a gate, PostgreSQL, and a Spark cluster."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from setup.postgres import free_port

START_SECONDS = 60
BLOCK_BYTES = 1 << 16


class Gate:
    """Forwards the connections of a port to another port of this machine.

    A closed gate refuses new connections and breaks those that are open, in the middle of whatever they carry, as a server
    that is killed does. What the server has stored stays.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Take connections."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and break those that are open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _end(listener)
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _end(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # the gate is closed
                return
            with self._lock:
                self._connections |= {client, server}
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(BLOCK_BYTES):
                target.sendall(block)
        for connection in (source, target):
            _end(connection)
        with self._lock:
            self._connections -= {source, target}


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
    connection.close()


@contextmanager
def object_store(folder: Path) -> Iterator[Gate]:
    """Run a server that speaks S3, its objects in its memory, behind a gate that is open."""
    port = free_port()
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        gate = Gate(port)
        try:
            _wait_for(port)
            gate.open()
            yield gate
        finally:
            gate.close()
            process.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
