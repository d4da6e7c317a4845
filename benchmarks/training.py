"""Training measured, side by side: ringmill, the stock launcher, torch on Spark, Keras alone, and the cores' own ceiling.

`make bench-training` writes rows of 32 numbers and a binary label as Parquet, in row groups as the features table has them, and
trains an MLP 256-128-1 by Adam on them, in interleaved rounds, each case in a process or application of its own:

- ours: `run_ranks` on the embedded cluster, a core and a thread a rank; with 1 rank its executor's Python has one core alone;
- stock: `horovod.spark.run` on Gloo and Keras fit, one thread a rank, gradients averaged by Horovod's tape in a train_step:
  Horovod's DistributedOptimizer averages nothing under Keras 3;
- torch: TorchDistributor and DistributedDataParallel on Gloo, one thread a rank, in an environment of its own;
- keras: Keras fit in one process with two threads, on batches as large as those of two ranks;
- ceiling: the network's matrix products, forward and backward, on both cores at once;
- start: a process that imports TensorFlow, builds the network, traces and runs one step;
- more, which has to be asked for: a smaller batch, other networks, four ranks on two cores, and two ranks without Spark that
  talk by TCP or by shared memory. Ranks on executors talk by TCP: MPICH takes each for a host of its own.

The peers read the same row groups by pyarrow, shuffle within each and drop the last part of a batch; they neither validate, nor
keep checkpoints, nor export a model, which ours does at the end of each epoch and of the run. Rows a second are of the epochs
after the first, which compiles; `seconds` are from the start of the process to the result in its hands.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.results import grid, store
from benchmarks.torch_environment import torch_environment
from benchmarks.training_runs import CASES, PARTS, BenchmarkCase, CaseFailedError, Run, run_case

Runs = dict[str, list[Run]]
USUAL = [part for part in PARTS if part != "more"]


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=2, help="epochs a run; the first compiles and is left out of rows/s")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=USUAL)
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs: at least 2, since the first compiles")
    console = Console(width=120, highlight=False)
    cases = [case for case in CASES if case.part in arguments.only]
    if any(case.program == "torch" for case in cases) and isinstance(why := torch_environment(), str):
        console.print(f"torch is left out: {why}")
        cases = [case for case in cases if case.program != "torch"]
    runs: Runs = {case.name: [] for case in cases}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        for _ in range(arguments.rounds):
            for case in [case for case in cases if case.name not in failed]:
                try:
                    runs[case.name].append(run_case(case, Path(folder), arguments.rows, arguments.epochs))
                except CaseFailedError as error:
                    failed[case.name] = str(error)
    cases = [case for case in cases if case.name not in failed]
    runs = {case.name: runs[case.name] for case in cases}
    report(console, cases, runs)
    for why in failed.values():
        console.print(f"left out: {why}")
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    console.print(f"Machine: {machine}; {arguments.rows:,} rows, {arguments.epochs} epochs")
    name = "_".join(["training", *(arguments.only if arguments.only != USUAL else ())])
    store(name, {"machine": machine, "rows": arguments.rows, "epochs": arguments.epochs, "runs": runs})
    sys.exit(1 if failed else 0)


def speed(run: Run) -> float:
    """Rows a second of the epochs after the first."""
    epochs = run["epochs"][1:] or run["epochs"]
    return float(sum(epoch["rows"] for epoch in epochs) / sum(epoch["seconds"] for epoch in epochs))


def seconds(run: Run) -> float:
    """Seconds from the start of the process to the result."""
    return float(run["ended"] - run["submitted"])


def first_step(run: Run) -> float:
    """Seconds from the submission of the training, or of the process that has none, to the end of the first step."""
    return float(run["first_step"] - run.get("called", run["submitted"]))


RATIOS: tuple[tuple[str, str, str, Callable[[Run], float], str], ...] = (
    ("2 ranks to 1", "ours, 2 ranks", "ours, 1 rank", speed, "1.75 or more"),
    ("2 ranks to 1, batch 4096", "ours, 2 ranks, batch 4096", "ours, 1 rank, batch 4096", speed, "1.85 or more"),
    ("ours to torch", "ours, 2 ranks", "torch, 2 ranks", speed, "2 or more"),
    ("ours to stock Horovod", "ours, 2 ranks", "stock Horovod, 2 ranks", speed, "3 or more"),
    ("ours to Keras in one process", "ours, 2 ranks", "Keras, 2 threads", speed, ""),
    ("ours to the ceiling", "ours, 2 ranks", "ceiling, 2 cores", speed, "0.85 or more"),
    ("first step, to a bare process", "ours, 2 ranks", "first step alone", first_step, "1.5 at most"),
    ("batch 256, 2 ranks to 1", "batch 256, 2 ranks", "batch 256, 1 rank", speed, ""),
    ("10 million parameters, 2 ranks to 1", "10 million, 2 ranks", "10 million, 1 rank", speed, ""),
    ("GRU, 2 ranks to 1", "GRU, 2 ranks", "GRU, 1 rank", speed, ""),
    ("CNN, 2 ranks to 1", "CNN, 2 ranks", "CNN, 1 rank", speed, ""),
    ("4 ranks on 2 cores to 1", "4 on 2 cores, 4 ranks", "4 on 2 cores, 1 rank", speed, ""),
    ("TCP to shared memory", "no Spark, TCP", "no Spark, shared memory", speed, ""),
)


def report(console: Console, cases: list[BenchmarkCase], runs_by_case: Runs) -> None:
    """Print what was measured, the ratios within each round, and where the ranks' time goes."""
    measured = grid("Training", "case", "rows/s of each round", "median", "seconds", "to first step", "last loss")
    for case in cases:
        runs = runs_by_case[case.name]
        last_loss, speeds, middle = "", "", ""
        if runs[0]["epochs"]:
            speeds = ", ".join(f"{speed(run):,.0f}" for run in runs)
            middle = f"{statistics.median(map(speed, runs)):,.0f}"
            last_loss = "" if case.program == "ceiling" else f"{runs[-1]['epochs'][-1]['loss']:.3f}"
        step = f"{statistics.median(map(first_step, runs)):.1f}" if "first_step" in runs[0] else ""
        measured.add_row(case.name, speeds, middle, f"{statistics.median(map(seconds, runs)):.1f}", step, last_loss)
    ratios = grid("Ratios, round by round", "what", "median", "least to most", "goal")
    for title, ours, other, measure, goal in RATIOS:
        if ours in runs_by_case and other in runs_by_case:
            values = [measure(mine) / measure(its) for mine, its in zip(runs_by_case[ours], runs_by_case[other], strict=True)]
            ratios.add_row(title, f"{statistics.median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}", goal)
    for table in (measured, ratios, _spent(runs_by_case)):
        if table.row_count:
            console.print(table)


def _spent(runs_by_case: Runs) -> Table:
    """Shares of an epoch, where ranks report them."""
    spent = grid("Where a rank's time goes, of the last epoch", "case", "rank", "feed", "compute", "all-reduce, wait", "rest")
    for name, runs in runs_by_case.items():
        for rank, last in runs[-1].get("shares", {}).items():
            shares = [[run["shares"][rank].get(activity) for run in runs] for activity in ("feed", "compute", "wait", "rest")]
            if last:
                shown = (f"{statistics.median(values):.0%}" if None not in values else "" for values in shares)
                spent.add_row(name, rank, *shown)
    return spent


if __name__ == "__main__":
    main()
