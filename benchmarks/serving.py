"""The service under closed-loop load: ONNX Runtime, SavedModel and Keras `predict` behind the same HTTP code.

`python -m benchmarks.serving` exports a network of the flights' size (26 numbers, 4 words), serves it by each library in turn,
and loads it from a process of its own over 1, 8 and 64 connections, single rows and batches. It prints the median and the 99th
percentile in milliseconds, requests a second, and the service's processor time a request. The load generator is Python too and
takes one core of its own: with 64 connections on two cores it is part of what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from rich.console import Console

from benchmarks.results import grid, store
from pipelines.fitted import FittedCategorical, FittedNumeric, FittedSpec

NUMBERS, WORDS, VOCABULARY = 26, 4, 100
VARIANTS = ("onnx", "savedmodel", "keras")
HEAD = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each load, after one of warm-up")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 32], help="rows a request")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--serve", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_variant(arguments.serve, arguments.model)
    elif arguments.load:
        load = asyncio.run(load_service(arguments.load, arguments.connections[0], arguments.rows[0], arguments.seconds))
        print(json.dumps(load))
    else:
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Load each variant in turn, and print a row for each load."""
    console, figures = Console(width=110, highlight=False), []
    table = grid("Serving", "library", "connections", "rows", "p50 ms", "p99 ms", "requests/s", "CPU ms a request")
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        export_model(Path(folder) / "m")
        for variant in arguments.only:
            with served(variant, f"{folder}/m") as (port, process):
                for connections in arguments.connections:
                    for rows in arguments.rows:
                        found = one_load(port, process, connections, rows, arguments.seconds)
                        figures.append({"library": variant, "connections": connections, "rows": rows, **found})
                        shown = (f"{found[name]:.2f}" for name in ("p50", "p99", "rate", "cpu"))
                        table.add_row(variant, str(connections), str(rows), *shown)
    console.print(table)
    store("serving", {"loads": figures})


def one_load(port: int, process: psutil.Process, connections: int, rows: int, seconds: float) -> dict[str, float]:
    """What one load came to, with the service's processor time in milliseconds a request."""
    command = [sys.executable, "-m", "benchmarks.serving", "--load", str(port), "--connections", str(connections)]
    before = sum(process.cpu_times()[:2])
    done = subprocess.run(
        [*command, "--rows", str(rows), "--seconds", str(seconds)], text=True, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "cpu": (sum(process.cpu_times()[:2]) - before) * 1000 / found["all_requests"]}


@contextmanager
def served(variant: str, model: str) -> Iterator[tuple[int, psutil.Process]]:
    """A service by one library: its port and process."""
    command = [sys.executable, "-m", "benchmarks.serving", "--serve", variant, "--model", model]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if "listening on" in line)
        yield int(json.loads(line)["message"].split(" (")[0].rsplit(":", 1)[1]), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate()


def serve_variant(variant: str, model: str) -> None:
    """Serve by another library than the folder's first choice."""
    from pipelines.serving import __main__ as service
    from pipelines.serving.bundle import Bundle

    ours = Bundle.scorer
    if variant == "savedmodel":
        Bundle.scorer = lambda self, onnx=None: ours(self, onnx=False)  # type: ignore[method-assign] # noqa: ARG005
    elif variant == "keras":
        Bundle.scorer = lambda self, onnx=None: KerasScorer(self.folder)  # type: ignore[method-assign] # noqa: ARG005
    sys.exit(service.main(["--model", model, "--port", "0", "--no-access-log"]))


class KerasScorer:
    """`predict` of the Keras file, as a service without a graph of its own would call it."""

    def __init__(self, folder: Path) -> None:
        import keras
        import tensorflow as tf

        self._tf, self._model = tf, keras.models.load_model(folder / "model.keras")
        self.runtime = f"Keras {keras.__version__}"

    def score(self, values: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Score raw values."""
        types = {True: self._tf.string, False: self._tf.float64}
        tensors = {name: self._tf.constant(value, types[value.dtype == object]) for name, value in values.items()}
        scores: npt.NDArray[np.float32] = self._model.predict(tensors, verbose=0)
        return scores


def export_model(folder: Path) -> None:
    """Publish a network of the flights' size with weights of no meaning."""
    import keras

    from pipelines.config import Network
    from pipelines.training.export import export
    from pipelines.training.networks import build_network
    from pipelines.training.tasks import BinaryHead

    scaling: dict[str, Any] = {"fill": 0.0, "clip": None, "log1p": False, "offset": 1.0, "scale": 2.0}
    words = tuple(f"word{at}" for at in range(VOCABULARY))
    numbers = [FittedNumeric(name=f"number{at}", **scaling) for at in range(NUMBERS)]
    spec = FittedSpec(features=(*numbers, *(FittedCategorical(name=f"word{at}", vocabulary=words) for at in range(WORDS))))
    keras.utils.set_random_seed(1)
    network = build_network(Network.model_validate({"hidden": [128, 64], "embedding_size": 8}), spec)
    facts = {"run_id": "benchmark", "pipeline": "benchmark", "task": {"kind": "binary"}}
    export(network, spec, BinaryHead(), facts, str(folder))


async def load_service(port: int, connections: int, rows: int, seconds: float) -> dict[str, float]:
    """Closed-loop load: each connection sends its next request once it has the answer to the one before."""
    row = {**{f"number{at}": at / 7 for at in range(NUMBERS)}, **{f"word{at}": f"word{at}" for at in range(WORDS)}}
    body = json.dumps(row if rows == 1 else [row] * rows)
    request = (HEAD.format(length=len(body)) + body).encode()
    begin = time.perf_counter() + 1
    taken = await asyncio.gather(*(_connection(port, request, begin + seconds) for _ in range(connections)))
    every = np.concatenate([np.array(times) for times in taken])
    measured = every[every[:, 0] >= begin, 1] * 1000
    p50, p99 = np.percentile(measured, [50, 99])
    return {"all_requests": len(every), "rate": len(measured) / seconds, "p50": float(p50), "p99": float(p99)}


async def _connection(port: int, request: bytes, end: float) -> list[tuple[float, float]]:
    """When each request began, and the seconds until its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    taken = []
    while (started := time.perf_counter()) < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r")[0])
        await reader.readexactly(length)
        taken.append((started, time.perf_counter() - started))
    writer.close()
    return taken


if __name__ == "__main__":
    main()
