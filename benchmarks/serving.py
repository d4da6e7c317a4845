"""The service under load: ONNX Runtime, SavedModel and Keras `predict` behind our HTTP code; beside it a plain FastAPI service
around the SavedModel, and MLServer.

`python -m benchmarks.serving` exports a network of the flights' size (26 numbers, 4 words) and serves it by each in turn.
Behind our code the SavedModel too is called once for all requests that wait; the plain service calls it for each request.
Clients in processes of their own load it over 1, 8 and 64 connections, each of which sends its next request once it has the
answer to the one before: wrk, where it is installed, and a Python client. The tables have the median and the 99th percentile of
the latency, requests a second, and the service's processor time a request; then the latency at half of the rate that 64
connections reached, and the time of a call of each library alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.results import grid, store
from benchmarks.serving_load import LoadTarget, clients, python_load
from benchmarks.serving_model import CALL_ROWS, call_milliseconds, export_model, input_fields, named_body, tensor_body
from benchmarks.serving_services import PREDICT, VARIANTS, Running, Variant, served

Load = dict[str, Any]
PACED = ("onnx", "onnx-v2", "savedmodel", "savedmodel-plain", "mlserver")
PACED_CONNECTIONS = 64


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each load, after a short warm-up")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 32], help="rows a request")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--clients", nargs="*", choices=["wrk", "Python"], default=list(clients()))
    parser.add_argument("--model", type=Path, help="a published model's folder, instead of one without meaning")
    arguments = parser.parse_args()
    console = Console(width=128, highlight=False)
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        model = arguments.model or Path(folder) / "m"
        if not arguments.model:
            export_model(model)
        calls = call_milliseconds(model)
        loads, paced = [], []
        for name in arguments.only:
            work = Path(folder) / name
            work.mkdir()
            with served(VARIANTS[name], model, work) as running:
                targets = {rows: _target(running, VARIANTS[name], model, rows, work) for rows in arguments.rows}
                loads += [{"variant": name, **load} for load in closed_loops(running, targets, arguments)]
                if name in PACED and 1 in targets:
                    rate = max(load["rate"] for load in loads if load["variant"] == name and load["rows"] == 1) / 2
                    figures = python_load(targets[1], PACED_CONNECTIONS, arguments.seconds, rate)
                    paced.append({"variant": name, **figures._asdict()})
            store("serving", {"loads": loads, "half_of_saturation": paced, "calls_ms": calls})
    show(console, loads, paced, calls)


def _target(running: Running, variant: Variant, model: Path, rows: int, work: Path) -> LoadTarget:
    body = named_body if variant.path == PREDICT else tensor_body
    path = work / f"body-{rows}.json"
    path.write_bytes(body(input_fields(model), rows))
    return LoadTarget(running.port, variant.path, path)


def closed_loops(running: Running, targets: dict[int, LoadTarget], arguments: argparse.Namespace) -> list[Load]:
    """Each client's load over each number of connections and rows, with the service's processor milliseconds a request."""
    loads = []
    for rows, target in targets.items():
        for connections in arguments.connections:
            for client, load in clients().items():
                if client not in arguments.clients:
                    continue
                before = running.cpu_seconds()
                figures = load(target, connections, arguments.seconds)
                cpu = (running.cpu_seconds() - before) * 1000 / max(1, figures.requests)
                loads.append({"client": client, "connections": connections, "rows": rows, "cpu": cpu, **figures._asdict()})
    return loads


def show(console: Console, loads: list[Load], paced: list[Load], calls: dict[str, dict[int, float]]) -> None:
    """Print a table for each kind of load: closed loop, paced, and calls without HTTP."""
    table = grid(
        "Closed loop", "service", "client", "rows", "connections", "p50 ms", "p99 ms", "requests/s", "CPU ms a request"
    )
    for load in loads:
        shown = [f"{load[name]:.2f}" for name in ("p50", "p99")] + [f"{load['rate']:,.0f}", f"{load['cpu']:.2f}"]
        table.add_row(VARIANTS[load["variant"]].title, load["client"], str(load["rows"]), str(load["connections"]), *shown)
    console.print(table)
    table = grid("At half of the greatest rate, single rows", "service", "requests/s", "p50 ms", "p99 ms")
    for load in paced:
        table.add_row(VARIANTS[load["variant"]].title, f"{load['rate']:,.0f}", f"{load['p50']:.2f}", f"{load['p99']:.2f}")
    console.print(table)
    table = grid("One call of the model alone, ms", "library", *(f"{rows} rows" for rows in CALL_ROWS))
    for library, milliseconds in calls.items():
        table.add_row(library, *(f"{milliseconds[rows]:.3f}" for rows in CALL_ROWS))
    console.print(table)


if __name__ == "__main__":
    main()
