"""Trains on two executors with a GPU each, which a script claims to have found.

`python -m tests.pipelines.launch.gpus <folder>`.

What each rank may see lies in `<folder>/seen.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil

from pipelines.launch.ranks import run_ranks
from pipelines.messages import Handshake, Message
from tests.pipelines.launch.cluster import ranks_run, two_executors
from tests.pipelines.launch.test_ranks import job
from tests.pipelines.training import rank_without_export

SCRIPT = """#!/bin/sh
mkdir {folder}/first 2>/dev/null && at=0 || at=1
echo '{{"name": "gpu", "addresses": ["'$at'"]}}'
"""


def main(folder: Path) -> None:
    """Train."""
    script = folder / "gpus.sh"
    script.write_text(SCRIPT.format(folder=folder))
    script.chmod(0o755)
    gpus = {
        "spark.worker.resource.gpu.amount": "1",
        "spark.worker.resource.gpu.discoveryScript": str(script),
        "spark.executor.resource.gpu.amount": "1",
        "spark.task.resource.gpu.amount": "1",
    }
    spark = two_executors("ringmill gpus", gpus)
    devices: dict[int, str] = {}

    def listen(message: Message) -> None:
        if isinstance(message.content, Handshake):
            devices[message.rank] = psutil.Process(message.content.pid).environ()["CUDA_VISIBLE_DEVICES"]

    with ranks_run(rank_without_export.MODULE):
        run_ranks(spark, 2, job(folder, 2, 8).model_dump_json(), listen)
    (folder / "seen.json").write_text(json.dumps(devices))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
