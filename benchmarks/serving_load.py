"""Load from a process of its own: closed loop by wrk and by Python, or requests at a given rate.

`python -m benchmarks.serving_load PORT PATH BODY_FILE --connections 8` prints the figures as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, cast

import uvloop

WARM_UP_SECONDS = 0.4
HEAD = "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout
  print(string.format('{{"requests": %d, "rate": %f, "p50": %f, "p99": %f, "failed": %d}}', summary.requests,
    summary.requests * 1000000 / summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
"""


class LoadTarget(NamedTuple):
    """Where requests go, and the file with their body."""

    port: int
    path: str
    body: Path


class Figures(NamedTuple):
    """Requests in all, requests a second, and the median and 99th percentile of the latency in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float


def wrk_load(target: LoadTarget, connections: int, seconds: float) -> Figures:
    """Closed-loop load by wrk, one thread. Raises AssertionError when an answer is not a success."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT.format(body=target.body))
        script.flush()
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", script.name]
        url = f"http://127.0.0.1:{target.port}{target.path}"
        done = subprocess.run(["wrk", *options, url], text=True, stdout=subprocess.PIPE, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.pop("failed") == 0, done.stdout
    return Figures(**figures)


def python_load(target: LoadTarget, connections: int, seconds: float, rate: float | None = None) -> Figures:
    """Load by a Python client in a process of its own: closed loop, or at a rate, with latencies from when each was due."""
    command = [sys.executable, "-m", "benchmarks.serving_load", *map(str, target), "--connections", str(connections)]
    paced = ["--rate", str(rate)] if rate else []
    done = subprocess.run([*command, "--seconds", str(seconds), *paced], text=True, stdout=subprocess.PIPE, check=True)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def clients() -> dict[str, Callable[[LoadTarget, int, float], Figures]]:
    """The clients that this machine has, by name; the first one warms the service up for the others."""
    return {"Python": python_load, **({"wrk": wrk_load} if shutil.which("wrk") else {})}


class ClientConnection(asyncio.Protocol):
    """A keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which of uvloop's is no subclass of asyncio's."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def send(self, request: bytes) -> Awaitable[None]:
        """Send a request; the result is done once its answer is here. Any status but 200 is an AssertionError."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        """Complete the request once head and body are whole."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        answered, self._answered = self._answered, None
        assert answered is not None
        if head.startswith(b"HTTP/1.1 200"):
            answered.set_result(None)
        else:
            answered.set_exception(AssertionError(bytes(self._received[:2000])))
        self._received.clear()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that is under way."""
        if self._answered:
            self._answered.set_exception(error or ConnectionError("closed"))


def _content_length(head: bytes | bytearray) -> int:
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])


async def _connect(port: int) -> ClientConnection:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(ClientConnection, "127.0.0.1", port))[1]


async def closed_loop(port: int, request: bytes, connections: int, seconds: float) -> Figures:
    """Each connection sends its next request once it has the answer to the one before."""
    begin = time.perf_counter() + WARM_UP_SECONDS
    spans: list[tuple[float, float]] = []

    async def caller(connection: ClientConnection) -> None:
        while (started := time.perf_counter()) < begin + seconds:
            await connection.send(request)
            spans.append((started, time.perf_counter() - started))

    opened = [await _connect(port) for _ in range(connections)]
    await asyncio.gather(*map(caller, opened))
    return _figures(spans, begin, seconds)


async def open_loop(port: int, request: bytes, connections: int, seconds: float, rate: float) -> Figures:
    """Requests at random times, `rate` a second. A latency begins when its request was due, even if no connection was idle."""
    idle: asyncio.Queue[ClientConnection] = asyncio.Queue()
    for _ in range(connections):
        idle.put_nowait(await _connect(port))
    spans: list[tuple[float, float]] = []
    gaps = random.Random(1)  # noqa: S311

    async def send_when_due(due: float) -> None:
        connection = await idle.get()
        await connection.send(request)
        spans.append((due, time.perf_counter() - due))
        idle.put_nowait(connection)

    due = time.perf_counter()
    begin, tasks = due + WARM_UP_SECONDS, set()
    while due < begin + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.add(asyncio.create_task(send_when_due(due)))
        due += gaps.expovariate(rate)
    await asyncio.gather(*tasks)
    return _figures(spans, begin, seconds)


def _figures(spans: list[tuple[float, float]], begin: float, seconds: float) -> Figures:
    measured = sorted(latency * 1000 for started, latency in spans if started >= begin)
    p50, p99 = (measured[int(share * (len(measured) - 1))] for share in (0.5, 0.99))
    return Figures(len(spans), len(measured) / seconds, p50, p99)


def main() -> None:
    """Load a service and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("body", type=Path)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, help="requests a second; without it each connection sends when it has its answer")
    arguments = parser.parse_args()
    body = arguments.body.read_bytes()
    request = HEAD.format(path=arguments.path, length=len(body)).encode() + body
    load = (
        open_loop(arguments.port, request, arguments.connections, arguments.seconds, arguments.rate)
        if arguments.rate
        else closed_loop(arguments.port, request, arguments.connections, arguments.seconds)
    )
    gc.disable()  # a collection, over thousands of tasks that wait, would be a latency that no service is to blame for
    print(json.dumps(uvloop.run(load)._asdict()))


if __name__ == "__main__":
    main()
