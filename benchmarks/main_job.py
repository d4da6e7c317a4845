"""The main job measured: seconds by step, passes over each table, and training with 1 and 2 ranks side by side.

`make bench-main` runs it under spark-submit with an event log; tables go to a folder of its own, removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql import functions as F
from rich.console import Console

from benchmarks.event_log import table_scans
from benchmarks.results import grid
from pipelines.config import LakeConfig, Pipeline, TrainConfig, read_config
from pipelines.io.lake import Lake
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.log_handler import begin_log, set_level
from pipelines.runtime.runs import RunLog, new_run_id
from pipelines.runtime.session import spark_session
from pipelines.steps.pipeline import STEPS
from pipelines.steps.train import STEP as TRAIN
from schemas.tables import TRAINING_HISTORY

RANKS = (1, 2)


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, default=Path("conf/flights.yaml"))
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds of 1 and of 2 ranks")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        measure(arguments.config, arguments.rounds, arguments.folder)
        return
    folder = Path(tempfile.mkdtemp(prefix="ringmill-bench-"))
    try:
        subprocess.run(_submit(arguments.config, arguments.rounds, folder), check=True)
        report(folder)
    finally:
        shutil.rmtree(folder)


def _submit(config: Path, rounds: int, folder: Path) -> list[str]:
    (folder / "events").mkdir()
    logged = {"enabled": "true", "dir": str(folder / "events"), "compress": "false"}
    flags = [part for key, value in logged.items() for part in ("--conf", f"spark.eventLog.{key}={value}")]
    program = str(Path(sys.executable).with_name("spark-submit"))
    own = ["--config", str(config), "--rounds", str(rounds), "--folder", str(folder)]
    return [program, *flags, str(Path(__file__)), *own]


def measure(path: Path, rounds: int, folder: Path) -> None:
    """Run the pipeline once and the training step in rounds; write what was measured to `folder`."""
    started = time.monotonic()
    config = read_config(path).model_copy(update={"lake": LakeConfig(warehouse=str(folder / "warehouse"))})
    with spark_session(config, "benchmark") as spark:
        seconds = {"start-up": time.monotonic() - started}
        lake = Lake(spark, config.pipeline, new_run_id())
        interval = config.interval.located(config.timezone)
        log = begin_log("benchmark", json_lines=False)
        context = Context(config, interval, spark, lake, RunLog(lake, interval), log.console)
        for step in STEPS:
            clock = time.monotonic()
            execute(step, context, force=True)
            seconds[step.name] = time.monotonic() - clock
        set_level("warning")  # of the rounds the results are shown alone
        speeds: dict[int, list[float]] = {ranks: [] for ranks in RANKS}
        for _ in range(rounds):
            for ranks in RANKS:
                speeds[ranks].append(_train(context, config, ranks))
        counts = {row.source: row.rows_in for row in lake.read("row_ledger").where(F.col("step") == "clean").collect()}
    (folder / "measured.json").write_text(json.dumps({"seconds": seconds, "speeds": speeds, "rows": counts}))


def _train(context: Context, config: Pipeline, ranks: int) -> float:
    """Rows a second of one training run, the median of its epochs but the first, which compiles."""
    train = TrainConfig.model_validate({**config.train.model_dump(), "ranks": ranks})
    lake = Lake(context.spark, config.pipeline, new_run_id())
    log = RunLog(lake, context.interval)
    run_context = Context(
        config.model_copy(update={"train": train}), context.interval, context.spark, lake, log, Console(quiet=True)
    )
    execute(TRAIN, run_context, force=True)
    history = lake.read(TRAINING_HISTORY.name).where((F.col("run_id") == lake.run_id) & (F.col("epoch") > 0))
    return float(statistics.median(row.rows_per_second for row in history.collect()))


def report(folder: Path) -> None:
    """Print the tables and keep the figures."""
    measured = json.loads((folder / "measured.json").read_text())
    console = Console(width=110, highlight=False)
    seconds = grid("Seconds by step", "step", "seconds", "share")
    total = sum(measured["seconds"].values())
    for name, value in measured["seconds"].items():
        seconds.add_row(name, f"{value:.1f}", f"{value / total:.0%}")
    scans = grid("Passes over each table", "step", "table", "scans", "rows read", "rows in the table", "passes")
    for step, step_scans in table_scans(folder / "events").items():
        for scan in step_scans:
            rows = measured["rows"].get(scan.table.partition("_")[2])
            if step.partition(": ")[2] in ("clean", "features") and rows:
                scans.add_row(
                    step.partition(": ")[2],
                    scan.table,
                    str(scan.scans),
                    f"{scan.rows:,}",
                    f"{rows:,}",
                    f"{scan.rows / rows:.2f}",
                )
    ranks = grid("Training, rounds interleaved", "ranks", "rows/s of each round", "median", "against 1 rank")
    medians = {name: statistics.median(values) for name, values in measured["speeds"].items()}
    ratios = {n: [a / b for a, b in zip(v, measured["speeds"]["1"], strict=True)] for n, v in measured["speeds"].items()}
    for name, values in measured["speeds"].items():
        shown = ", ".join(f"{value:,.0f}" for value in values)
        low, middle, high = min(ratios[name]), statistics.median(ratios[name]), max(ratios[name])
        ranks.add_row(name, shown, f"{medians[name]:,.0f}", f"{middle:.2f} ({low:.2f} to {high:.2f})")
    for table in (seconds, scans, ranks):
        console.print(table)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    console.print(f"Machine: {machine}")
    results = Path("benchmarks/results")
    results.mkdir(exist_ok=True)
    (results / "main_job.json").write_text(json.dumps({"machine": machine, **measured}, indent=2))


if __name__ == "__main__":
    main()
