"""Trains every run of a folder's `runs.json` in one application with four slots, and keeps each one's last weights there.

Ranks that came together train all runs of their number in turn (`rank_of_many`), so that TensorFlow is loaded once for all of
them; a run that has a `launch` of its own is trained by others.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from pipelines.config import TrainConfig
from pipelines.launch.ranks import run_ranks
from pipelines.training.job import TrainingJob
from tests.java import BRIEF_APPLICATION
from tests.pipelines.launch.cluster import ranks_run
from tests.pipelines.launch.test_ranks import job_over, last_arrays

EPOCHS = 2


def main(folder: Path) -> None:
    """Train them all."""
    builder = SparkSession.builder.master("local[4]").appName("ringmill equivalence")
    on_loopback = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    for key, value in {**BRIEF_APPLICATION, **on_loopback, "spark.ui.enabled": "false"}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    runs = [(run, job(run)) for run in json.loads((folder / "runs.json").read_text())]
    launches: dict[tuple[int, str], list[TrainingJob]] = {}
    for run, training in runs:
        launches.setdefault((training.config.ranks, run.get("launch", "")), []).append(training)
    for (ranks, _), jobs in launches.items():
        together = json.dumps([training.model_dump(mode="json") for training in jobs])
        with ranks_run("tests.pipelines.launch.rank_of_many"):
            run_ranks(spark, ranks, together, lambda _: None, start_seconds=120)
    for run, training in runs:
        arrays = last_arrays(training)
        np.savez(folder / f"{run['name']}.npz", *arrays[: 8 if training.config.network.batch_norm else 5])  # the network's own
    spark.stop()


def job(run: dict[str, Any]) -> TrainingJob:
    """One run, its rows in the file's order."""
    settings = {
        "ranks": run["ranks"],
        "batch_size": run["batch"],
        "epochs": EPOCHS,
        "steps_per_call": 2,
        "network": {"hidden": [4]},
        "optimizer": run["optimizer"],
        **run.get("train", {}),
    }
    return job_over(Path(run["path"]), TrainConfig.model_validate(settings), run["name"], shuffle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
