"""Clients that read nothing: they are disconnected, and hold up nobody."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import psutil
import pytest

from pipelines.serving.protocol import MOST_AHEAD, JoinedWrites
from tests.pipelines.serving.running import PATIENCE, Running, running
from tests.root import ROOT

REQUEST = b"GET /schema HTTP/1.1\r\nHost: a\r\n\r\n"


def connect(service: Running) -> socket.socket:
    """A connection that holds little of what it does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", service.port))
    return client


def send(client: socket.socket, times: int) -> None:
    """Send requests and read no answer."""
    for _ in range(times):
        client.sendall(REQUEST * 100)


def test_a_client_that_sends_far_ahead_is_disconnected_and_holds_up_nobody(service: Running) -> None:
    process = psutil.Process(service.process.pid)
    before = process.memory_info().rss
    service.predict()
    with connect(service) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send(client, 2000)
        started = time.monotonic()
        assert service.predict().status == 200
        # Two hundred thousand requests that waited would take 10 seconds to parse, and 300 MiB.
        assert time.monotonic() - started < 2
        assert process.memory_info().rss - before < 30 << 20


def test_a_client_may_send_some_requests_ahead(service: Running) -> None:
    with connect(service) as client:
        client.sendall(REQUEST * (MOST_AHEAD + 1))
        client.settimeout(PATIENCE)
        received = b""
        while received.count(b"HTTP/1.1 200") < MOST_AHEAD + 1:
            part = client.recv(1 << 16)
            assert part, received[-500:]
            received += part


def test_a_client_that_stops_reading_is_disconnected(published: Path) -> None:
    with running(published, "--idle-seconds", "1") as server, connect(server) as client:
        ends = (server.port, client.getsockname()[1])
        client.sendall(REQUEST * MOST_AHEAD)  # whose answers its own buffer does not take
        assert ends in connections()
        until = time.monotonic() + 30
        while ends in connections():
            assert time.monotonic() < until
            time.sleep(0.05)


def connections() -> set[tuple[int, int]]:
    """The ports at both ends of this machine's TCP connections, those of which no process knows included."""
    return {(each.laddr.port, each.raddr.port) for each in psutil.net_connections("tcp") if each.laddr and each.raddr}


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.sent.append(data)

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close it."""
        self.closed = True


def test_what_is_written_in_one_step_is_sent_together_and_before_the_end() -> None:
    wire = Wire()

    async def write() -> None:
        joined = JoinedWrites(cast("asyncio.WriteTransport", wire), asyncio.get_running_loop())
        joined.write(b"head ")
        joined.write(b"body")
        assert wire.sent == []
        await asyncio.sleep(0)
        assert wire.sent == [b"head body"]
        joined.write(b"last")
        joined.close()
        assert wire.sent == [b"head body", b"last"]
        joined.write(b"too late")
        await asyncio.sleep(0)
        assert wire.sent == [b"head body", b"last"]
        assert joined.is_closing()

    asyncio.run(write())


EARLY = """
import os, signal, sys, uvicorn
from pipelines.serving.__main__ import main
taken_over = uvicorn.Server.capture_signals
def late(server):
    os.kill(os.getpid(), signal.SIGTERM)
    return taken_over(server)
uvicorn.Server.capture_signals = late
sys.exit(main(["--model", sys.argv[1], "--port", "0"]))
"""


def test_a_signal_that_comes_while_the_service_starts_ends_it(published: Path) -> None:
    command = [sys.executable, "-c", EARLY, str(published)]
    completed = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert "stopping: requests in work are finished" in completed.stdout
