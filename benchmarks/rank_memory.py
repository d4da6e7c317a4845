"""The most memory that a rank takes, and the disk of its checkpoint and model: `python -m benchmarks.rank_memory`.

One rank and two, two epochs each; the peak is the kernel's own (VmHWM), so shared pages count for each rank.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from pyspark.sql import SparkSession

from benchmarks.training_data import training_job, write_rows
from pipelines.launch.ranks import run_ranks
from pipelines.messages import Handshake, Message, Ready

MIB, ROWS, EPOCHS = 2**20, 200_000, 2
RUNS = (("mlp", 1, 1024), ("mlp", 2, 1024), ("mlp", 1, 16_384), ("mlp of 10 million", 1, 1024), ("mlp of 10 million", 2, 1024))


class PeakRecorder:
    """Records the parameters of the network, and each rank's peak of memory, looked up at each of its messages."""

    def __init__(self) -> None:
        self.parameters = 0
        self.peaks: dict[int, float] = {}
        self._processes: dict[int, int] = {}

    def __call__(self, message: Message) -> None:
        """Look at the rank that a message is from, which may have ended."""
        match message.content:
            case Handshake(pid=pid):
                self._processes[message.rank] = pid
            case Ready(parameters=parameters):
                self.parameters = parameters
        with suppress(OSError):
            lines = Path(f"/proc/{self._processes[message.rank]}/status").read_text(encoding="ascii").splitlines()
            peak = next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
            self.peaks[message.rank] = max(peak, self.peaks.get(message.rank, 0.0))


def measure(spark: SparkSession, folder: Path, name: str, ranks: int, batch: int) -> str:
    """Train a network once and return its row of the table: peak MiB of each rank, MiB of the checkpoint and of the model."""
    files = write_rows(folder, name, ROWS)
    job, recorder = training_job(name, files, ranks, batch, EPOCHS), PeakRecorder()
    run_ranks(spark, ranks, job.model_dump_json(), recorder, start_seconds=300, stall_seconds=300)
    cached = [
        max(path.stat().st_size for path in Path(job.checkpoints).rglob("*") if path.is_file()) / MIB,
        _size(Path(job.model)),
    ]
    for used in (job.checkpoints, job.model):
        shutil.rmtree(used, ignore_errors=True)
    peaks = ", ".join(f"{recorder.peaks[rank]:,.0f}" for rank in sorted(recorder.peaks))
    return f"| {name} | {recorder.parameters:,} | {ranks} | {batch:,} | {peaks} | {cached[0]:.1f} | {cached[1]:.1f} |"


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MIB


def main() -> None:
    """Train each network of `RUNS` in turn and print the table, in Markdown."""
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    print("| network | parameters | ranks | rows a rank and step | peak MiB of each rank | checkpoint, MiB | model, MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(prefix="ringmill-memory-") as folder:
        for name, ranks, batch in RUNS:
            print(measure(spark, Path(folder), name, ranks, batch), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
