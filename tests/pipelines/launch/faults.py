"""Trains on two real executors while something goes wrong: `python -m tests.pipelines.launch.faults <folder> <fault>…`.

A disturber watches the run's files and processes from outside, as a broken machine would, and strikes once a second checkpoint
is there. What came of it lies in `<folder>/<fault>.json`.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from rich.console import Console

from pipelines.config import LakeConfig, TrainConfig, read_config
from pipelines.io.catalog import catalog_settings
from pipelines.io.lake import Lake
from pipelines.runtime.context import Context
from pipelines.runtime.runs import RunLog
from pipelines.steps.training.attempts import Attempts
from pipelines.steps.training.receipts import Receipts
from pipelines.training.job import TrainingJob
from tests.pipelines.launch.cluster import ranks_run, two_executors
from tests.pipelines.launch.test_ranks import job_over
from tests.pipelines.training import rank_without_export
from tests.root import ROOT

ROWS, GROUPS, BATCH = 16_000, 20, 64
FULL_BYTES = 16 << 10
GOES_ON = {"other_ranks": "two_ranks", "after_the_driver": "driver"}  # whose checkpoints a run finds
SAID_SLOW = threading.Event()  # the driver has logged that rank 1 is slow
Ranks = dict[int, psutil.Process]
Strike = Callable[[Ranks, TrainingJob], None]


def main(folder: Path, faults: list[str]) -> None:
    """Try each fault in turn, in one application."""
    (folder / "warehouse").mkdir(exist_ok=True)
    logging.getLogger("pipelines").setLevel(logging.INFO)
    logging.getLogger().addHandler(Said())
    spark = two_executors("ringmill faults", catalog_settings(LakeConfig(warehouse=str(folder / "warehouse"))))
    for fault in faults:
        with ranks_run(rank_without_export.MODULE):
            result = try_fault(spark, folder, fault)
        (folder / f"{fault}.json").write_text(json.dumps(result))
    spark.stop()


def try_fault(spark: SparkSession, folder: Path, fault: str) -> dict[str, Any]:
    """Train, disturbed by a fault; what the run left."""
    place = folder / GOES_ON.get(fault, fault)
    place.mkdir(exist_ok=True)
    job = job_over(features(place, broken_row=fault == "nan"), config(fault), fault)
    job = job.model_copy(update={"checkpoints": str(place / "checkpoints" / fault)})
    run = context(spark, f"{fault}_run")
    attempts = Attempts(run, job, Receipts(job.config.ranks, ROWS, sum(range(ROWS))))
    disturber = Disturber(job, STRIKES.get(fault))
    began, error = time.monotonic(), None
    try:
        with disturber:
            attempts.run()
            attempts.receipts.check_complete(len(attempts.history))
    except Exception as caught:  # noqa: BLE001 (what the test looks at)
        error = [type(caught).__name__, str(caught)]
    ended = time.monotonic()
    exists = run.lake.exists("run_events")
    events = run.lake.read("run_events").where(f"run_id = '{run.run_id}'").orderBy("at").collect() if exists else []
    return {
        "error": error,
        "seconds": ended - began,
        "seconds_after": ended - disturber.struck if disturber.struck else None,
        "losses": [[report.train_loss, report.validation_loss] for report in attempts.history],
        "steps": [report.steps for report in attempts.history],
        "receipts": [[r.epoch, r.part, r.rank, r.rows] for r in attempts.receipts.received],
        "events": [[event.attempt, event.kind, event.message] for event in events],
    }


def context(spark: SparkSession, run_id: str) -> Context:
    """A run's context, as a job would have it."""
    config = read_config(ROOT / "conf" / "flights.yaml")
    lake = Lake(spark, "faults", run_id)
    return Context(config, config.interval, spark, lake, RunLog(lake, config.interval), Console(file=sys.stderr, width=200))


class Said(logging.Handler):
    """The driver's log on standard error, which a fault may hear."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print, and note that a slow rank was named."""
        print(record.getMessage(), file=sys.stderr, flush=True)
        if "slow: rank 1" in record.getMessage():
            SAID_SLOW.set()


def config(fault: str) -> TrainConfig:
    """The same training for each, but for what a fault is about."""
    settings = {
        "ranks": 1 if fault == "other_ranks" else 2,
        "batch_size": 4 * BATCH if fault == "slow" else BATCH,
        "epochs": 3,
        "steps_per_call": 4 if fault == "slow" else 16,
        "shuffle_rows": 2048,
        "checkpoint_steps": 4 if fault == "slow" else 32,
        "network": {"hidden": [1024, 1024] if fault == "slow" else [64, 32], "dropout": 0.1},
        "optimizer": {"name": "Adam", "learning_rate": 0.002, "schedule": "cosine"},
        "retries": 0 if fault in ("two_ranks", "disk_full") else 1,
        "stall_timeout_seconds": 6 if fault == "hang" else 60,
    }
    return TrainConfig.model_validate(settings)


def features(folder: Path, *, broken_row: bool) -> Path:
    """The features file; with a row that holds what is no number, where that is wanted."""
    path = folder / "features.parquet"
    if not path.exists():
        generator = np.random.default_rng(3)
        x, w = generator.normal(size=ROWS).astype(np.float32), generator.integers(0, 3, ROWS).astype(np.int32)
        label = (x + w + generator.normal(size=ROWS) > 1).astype(np.float32)
        if broken_row:
            x[ROWS * 3 // 4] = np.nan
        table = pa.table({"row_id": np.arange(ROWS), "label": label, "x": x, "w": w})
        pq.write_table(table, path, row_group_size=ROWS // GROUPS)
    return path


class Disturber:
    """Waits for the second checkpoint of a job and its ranks, and strikes once."""

    def __init__(self, job: TrainingJob, strike: Strike | None) -> None:
        self.struck: float | None = None
        self._job = job
        self._strike = strike
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        folder = Path(self._job.checkpoints)
        while self._strike and not self._over.wait(0.02):
            # The ranks last: to find them takes a look at every process of this machine.
            if len(list(folder.glob("*.npz"))) >= 2 and len(ranks := ranks_of(os.getpid())) == self._job.config.ranks:
                self.struck = time.monotonic()
                self._strike(ranks, self._job)
                return

    def __enter__(self) -> Disturber:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)


def ranks_of(driver: int) -> Ranks:
    """The rank processes beneath a driver, by rank."""
    ranks: Ranks = {}
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if process.cmdline()[-1:] == [rank_without_export.MODULE] and "python" in process.name():
                ranks[int(process.environ()["RINGMILL_RANK"])] = process
        except (psutil.Error, KeyError):
            continue
    return ranks


def kill_rank(ranks: Ranks, _: TrainingJob) -> None:
    """As the kernel does when memory runs out."""
    ranks[1].kill()


def kill_executor(ranks: Ranks, _: TrainingJob) -> None:
    """The Java process above rank 1."""
    next(each for each in ranks[1].parents() if each.name() == "java").kill()


def hang(ranks: Ranks, _: TrainingJob) -> None:
    """A process that does not run any more, and is not gone."""
    ranks[1].suspend()


def slow(ranks: Ranks, _: TrainingJob) -> None:
    """A machine that gives a rank a seventh of its time, until the driver says so: how soon depends on what else runs."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and ranks[1].is_running() and not SAID_SLOW.is_set():
        ranks[1].suspend()
        time.sleep(0.15)
        ranks[1].resume()
        time.sleep(0.025)


def disk_full(ranks: Ranks, _: TrainingJob) -> None:
    """No file of rank 0 may grow as large as a checkpoint."""
    ranks[0].rlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))


def corrupt_file(_: Ranks, job: TrainingJob) -> None:
    """The features file loses its contents in place, all but its footer."""
    path = Path(job.train.groups[0].path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\0" * (size - 8_000))


def missing_file(_: Ranks, job: TrainingJob) -> None:
    """The features file is gone."""
    Path(job.train.groups[0].path).unlink()


def corrupt_checkpoint(ranks: Ranks, job: TrainingJob) -> None:
    """A rank dies, and the newest checkpoint is cut off."""
    ranks[1].kill()
    time.sleep(0.5)
    newest = max(Path(job.checkpoints).glob("*.npz"))
    os.truncate(newest, newest.stat().st_size // 2)


def kill_driver(_: Ranks, __: TrainingJob) -> None:
    """The driver's own process."""
    os.kill(os.getpid(), signal.SIGKILL)


STRIKES: dict[str, Strike] = {
    "rank": kill_rank,
    "executor": kill_executor,
    "hang": hang,
    "slow": slow,
    "disk_full": disk_full,
    "corrupt_file": corrupt_file,
    "missing_file": missing_file,
    "corrupt_checkpoint": corrupt_checkpoint,
    "two_ranks": kill_rank,
    "driver": kill_driver,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
