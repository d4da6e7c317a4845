"""The real service in a process of its own, on a free port."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.root import ROOT

ROW: dict[str, Any] = {
    "distance": 1400, "seats": 189, "temp": 40, "delay_1h": 12.5, "holiday": False, "moment": "2013-07-04T08:00:00-04:00",
    "origin": "JFK", "airline": "B6", "past_temp": [38, 39, 40],
}  # fmt: skip
"""The tiny model's example, as `POST /predict` takes it."""
PATIENCE = 120.0


class Response(NamedTuple):
    """A status, headers by lower-case name, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Running:
    """A running service: its process, port and log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        listening = self.wait_for(lambda line: line.get("message", "").startswith("listening on"))
        self.port = int(listening["message"].split("(")[0].rsplit(":", 1)[1])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first log line of a kind, once it is there."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            if first := next((line for line in self.lines if wanted(line)), None):
                return first
            assert self.process.poll() is None, f"the service ended with {self.process.returncode}"
            time.sleep(0.02)
        raise AssertionError(f"no such line in {self.lines}")

    def wait_for_metric(self, name: str, least: float) -> bool:
        """Whether a metric reaches a value, of which the request for the metrics itself is no part."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            lines = self.call("GET", "/metrics").body.decode().splitlines()
            value = next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
            if value - 1 >= least:
                return True
            time.sleep(0.02)
        return False

    def connect(self) -> http.client.HTTPConnection:
        """A connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Response:
        """One request; a body that is neither text nor bytes is sent as JSON."""
        connection = self.connect()
        content = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        try:
            connection.request(method, path, content, dict(headers or {}))
            response = connection.getresponse()
            return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def predict(self, body: Any = ROW) -> Response:
        """`POST /predict`."""
        return self.call("POST", "/predict", body)

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def start(model: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start the service without waiting for it."""
    command = [sys.executable, "-m", "pipelines.serving", "--model", str(model), "--port", "0", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
    return subprocess.Popen(command, cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextmanager
def running(model: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    """The service, while the block lasts."""
    process = start(model, *arguments, **environment)
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()
