"""Whether memory stays flat: many loads and unloads of a model, and many requests to a service.

`python -m benchmarks.serving_memory` loads and unloads a model 200 times in one process, and sends 200,000 requests over 8
connections to a service. It prints the resident memory as both go on; the first tenth, in which pools and caches fill, is left
out of what it has grown by.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from rich.console import Console

from benchmarks.results import grid, store
from benchmarks.serving_load import LoadTarget, python_load
from benchmarks.serving_model import export_model, input_fields, named_body
from benchmarks.serving_services import VARIANTS, served

STEPS = 10
MIB = 1 << 20


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=200)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--model", type=Path, help="a published model's folder, instead of one without meaning")
    parser.add_argument("--only-loads", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_loads:
        print(json.dumps(list(memory_of_loads(arguments.model, arguments.loads))))
        return
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        model = arguments.model or Path(folder) / "m"
        if not arguments.model:
            export_model(model)
        # A process of its own, which has not exported a model before.
        command = [sys.executable, "-m", "benchmarks.serving_memory", "--only-loads", "--model", str(model)]
        done = subprocess.run([*command, "--loads", str(arguments.loads)], text=True, stdout=subprocess.PIPE, check=True)
        loads = json.loads(done.stdout.splitlines()[-1])
        requests = list(memory_of_requests(model, Path(folder), arguments.requests))
    table = grid("Resident memory, MiB", "after", *(f"{step * 100 // STEPS} %" for step in range(1, STEPS + 1)), "growth")
    for title, memory in ((f"{arguments.loads:,} loads and unloads", loads), (f"{arguments.requests:,} requests", requests)):
        table.add_row(title, *(f"{mebibytes:.1f}" for mebibytes in memory), f"{memory[-1] - memory[0]:+.1f}")
    Console(width=128, highlight=False).print(table)
    store("serving_memory", {"loads": loads, "requests": requests})


def memory_of_loads(model: Path, loads: int) -> Iterator[float]:
    """Resident MiB after each tenth of the loads: each model takes the place of the one before, as a service changes models."""
    from pipelines.registry.source import Current
    from pipelines.serving.service import Service
    from pipelines.serving.settings import Settings

    class Counted:
        """A source whose version is new each time."""

        number = 0

        def current(self) -> Current:
            """The same folder as another version."""
            self.number += 1
            return Current(str(self.number), str(model))

    async def refresh(times: int) -> None:
        for _ in range(times):
            assert await service.refresh()

    service, process = Service(Counted(), Settings()), psutil.Process()
    service.load_first()
    with asyncio.Runner() as runner:
        for _ in range(STEPS):
            runner.run(refresh(loads // STEPS))
            gc.collect()
            yield process.memory_info().rss / MIB


def memory_of_requests(model: Path, work: Path, requests: int) -> Iterator[float]:
    """Resident MiB of the service after each tenth of the requests."""
    body = work / "body.json"
    body.write_bytes(named_body(input_fields(model), 1))
    with served(VARIANTS["onnx"], model, work) as running:
        target, sent = LoadTarget(running.port, VARIANTS["onnx"].path, body), 0
        for step in range(1, STEPS + 1):
            while sent < requests * step // STEPS:
                sent += python_load(target, connections=8, seconds=2).requests
            yield running.process.memory_info().rss / MIB


if __name__ == "__main__":
    main()
