"""One training run by ringmill, timed from outside: `spark-submit benchmarks/training_ours.py WORK`.

Executors are there before the run is submitted, and have read the rows once, as in a pipeline whose earlier steps they have
worked on. A cold one takes three seconds for its first task, whatever that is: it fetches jars and loads their classes.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.shards import Work
from benchmarks.training_data import training_job
from pipelines.config import LakeConfig, read_config
from pipelines.launch.barrier import slots
from pipelines.launch.ranks import run_ranks
from pipelines.messages import EpochReport, FeedReceipt, Handshake, Message, StepReport
from pipelines.runtime.session import spark_session

ROOT = Path(__file__).resolve().parent.parent
SPENT = ("feed", "compute", "wait")
SECONDS_FOR_EXECUTORS = 60


class RankRecorder:
    """Records the ranks' messages, and when they came."""

    def __init__(self) -> None:
        self.first_step = 0.0
        self.epochs: list[dict[str, float]] = []
        self.cores: dict[int, int] = {}
        self.spent: dict[int, dict[str, float]] = {}

    def __call__(self, message: Message) -> None:
        """Keep what is measured. A rank has pinned itself before it says hello; the first step is told with its whole call."""
        match message.content:
            case Handshake(pid=pid):
                self.cores[message.rank] = len(os.sched_getaffinity(pid))
            case StepReport():
                self.first_step = self.first_step or time.monotonic()
            case EpochReport() as report:
                self.first_step = self.first_step or time.monotonic()
                self.epochs.append({"rows": report.rows, "seconds": report.seconds, "loss": report.train_loss})
            case FeedReceipt() as receipt:
                self.spent[receipt.rank] = {what: getattr(receipt, f"{what}_seconds") for what in SPENT}

    def shares(self) -> dict[str, dict[str, float]]:
        """By rank, shares of the last epoch's time: those that ranks report, and the rest, which is Python's."""
        seconds = self.epochs[-1]["seconds"]
        by_rank: dict[str, dict[str, float]] = {}
        for rank, spent in sorted(self.spent.items()):
            shares: dict[str, Any] = {activity: value / seconds for activity, value in spent.items()}
            by_rank[str(rank)] = {**shares, "rest": 1 - sum(shares.values())} if shares else {}
        return by_rank


def main() -> None:
    """Train in a Spark application."""
    work = Work.read(sys.argv[1])
    job = training_job(work.workload, (Path(work.train), Path(work.validation)), work.ranks, work.batch, work.epochs)
    warehouse = LakeConfig(warehouse=str(Path(work.out).parent / "warehouse"))
    config = read_config(ROOT / "conf" / "flights.yaml").model_copy(update={"lake": warehouse})
    recorder = RankRecorder()
    with spark_session(config, "benchmark") as spark:
        deadline = time.monotonic() + SECONDS_FOR_EXECUTORS
        while slots(spark) < work.ranks and time.monotonic() < deadline:
            time.sleep(0.1)
        spark.read.parquet(work.train).agg({"label": "avg"}).collect()
        called = time.monotonic()
        run_ranks(spark, work.ranks, job.model_dump_json(), recorder)
        more = {"cores": recorder.cores, "shares": recorder.shares(), "first_step": recorder.first_step}
        work.write_result(recorder.epochs, called=called, **more)


if __name__ == "__main__":
    main()
