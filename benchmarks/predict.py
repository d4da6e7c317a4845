"""Batch scoring of predict against Keras in a `pandas_udf` and in Spark's own `predict_batch_udf`: rows a second, side by side.

`python -m benchmarks.predict` exports a network of the flights' size, writes rows of raw values (26 numbers, 4 words) as
Parquet, and scores the same files by each in turn, in one Spark application on two cores. Each scores some of the rows first,
so that every worker has loaded its model. All write ids and scores as Parquet: what the job predict does by Arrow, the others
by Spark's writer. "By Spark's rows" is the same scoring where Spark reads the rows, hands them over and writes. Workers keep
the Keras model from task to task. Keras's `predict` makes batches of 32 rows by default: it is measured so, on a tenth of the
rows, and with whole Arrow batches. All must score the first rows alike, to 1e-6. Processor seconds are those of Java and its
Python workers together; on a machine that others use too they are the fairer measure.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.predict_contenders import BATCH_ROWS, CONTENDERS, NAMES, OURS, UNTUNED, Score
from benchmarks.results import grid, store
from benchmarks.serving_model import NUMBERS, VOCABULARY, export_model

FILES, ROW_GROUP = 8, 50_000
WARM_UP_ROWS, COMPARED_ROWS = 50_000, 1_000
SLOW_PART = 10  # of the rows that Keras scores in the batches that it makes unless told otherwise
FIRST, WARM_UP, PART, ALL = "first", "warm_up", "part", "rows"


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        measure(given.folder, given.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        subprocess.run([sys.executable, "-c", f"{PREPARE}({folder!r}, {given.rows})"], check=True)
        program = str(Path(sys.executable).with_name("spark-submit"))
        options = ["--folder", folder, "--rows", str(given.rows), "--rounds", str(given.rounds)]
        # One thread of TensorFlow's a worker, as there is a worker a core.
        threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        subprocess.run([program, __file__, *options], env={**os.environ, **threads}, check=True)


PREPARE = "from pathlib import Path; from benchmarks.predict import prepare; prepare"


def prepare(folder: str, rows: int) -> None:
    """Export the model and write the rows: numbers with some missing ones, words of which some are unknown."""
    export_model(Path(folder) / "m")
    sizes = {FIRST: COMPARED_ROWS, WARM_UP: WARM_UP_ROWS, PART: rows // SLOW_PART, ALL: rows}
    generator = np.random.default_rng(1)
    words = pa.array([f"word{at}" for at in range(VOCABULARY + 5)])
    for file in range(FILES):
        count = rows // FILES + (file < rows % FILES)
        columns: dict[str, Any] = {"row_id": np.arange(count) * FILES + file}
        for name in NAMES[:NUMBERS]:
            values = generator.normal(1, 2, count)
            columns[name] = pa.array(values, mask=generator.random(count) < 0.02)
        for name in NAMES[NUMBERS:]:
            columns[name] = words.take(pa.array(generator.integers(0, len(words), count)))
        table = pa.table(columns)
        for name, size in sizes.items():
            (Path(folder) / name).mkdir(exist_ok=True)
            pq.write_table(table[: size // FILES] if size < rows else table, Path(folder) / name / f"{file}.parquet",
                           row_group_size=ROW_GROUP)  # fmt: skip


def measure(folder: Path, rounds: int) -> None:
    """Score by each in turn, in this application."""
    spark = SparkSession.builder.appName("ringmill benchmark predict").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", BATCH_ROWS)
    counts = {name: rows_in(folder / (PART if name == UNTUNED else ALL)) for name in CONTENDERS}
    timings: dict[str, list[Timing]] = {name: [] for name in CONTENDERS}
    scored: dict[str, dict[int, float]] = {}
    for name, score in CONTENDERS.items():
        timed(spark, score, folder, FIRST)
        scored[name] = scores_by_id(folder / "scored")
    differences = {name: max(abs(each - scored[OURS][at]) for at, each in of.items()) for name, of in scored.items()}
    assert all(len(of) == rows_in(folder / FIRST) for of in scored.values()), {name: len(of) for name, of in scored.items()}
    assert max(differences.values()) <= 1e-6, differences
    for _ in range(rounds):
        for name, score in CONTENDERS.items():
            timed(spark, score, folder, WARM_UP)
            timings[name].append(timed(spark, score, folder, PART if name == UNTUNED else ALL))
            assert rows_in(folder / "scored") == counts[name], name
    show(counts, timings, differences)
    spark.stop()


class Timing(NamedTuple):
    """Seconds of work, and those of the processor for all processes that do it."""

    seconds: float
    processor: float


def show(counts: dict[str, int], timings: dict[str, list[Timing]], differences: dict[str, float]) -> None:
    """Print the table and store the figures."""
    title = f"Batch scoring; load of the machine {os.getloadavg()[1]:.1f}"
    table = grid(
        title, "by", "rows", "seconds", "rows/s", "ours is faster by", "processor s", "ours takes less by", "differs by"
    )
    rates = {name: counts[name] / min(timing.seconds for timing in of) for name, of in timings.items()}
    costs = {name: min(timing.processor for timing in of) / counts[name] for name, of in timings.items()}
    for name, of in timings.items():
        table.add_row(
            name, f"{counts[name]:,}", ", ".join(f"{timing.seconds:.1f}" for timing in of), f"{rates[name]:,.0f}",
            f"{rates[OURS] / rates[name]:.1f}", ", ".join(f"{timing.processor:.1f}" for timing in of),
            f"{costs[name] / costs[OURS]:.1f}", f"{differences[name]:.1e}",
        )  # fmt: skip
    Console(width=160, highlight=False).print(table)
    store(
        "predict",
        {"rows": counts, "taken": {name: [*map(tuple, of)] for name, of in timings.items()}, "differences": differences},
    )


def timed(spark: SparkSession, score: Score, folder: Path, rows: str) -> Timing:
    """How long it takes to score all rows of a folder and to write their scores."""
    shutil.rmtree(folder / "scored", ignore_errors=True)
    started, used = time.monotonic(), processor_seconds()
    score(spark, folder / rows, folder / "m", folder / "scored")
    return Timing(time.monotonic() - started, processor_seconds() - used)


def processor_seconds() -> float:
    """What Java, which started this program, and all that it started have taken of the processor."""
    java = psutil.Process().parent()
    total = 0.0
    for process in [java, *java.children(recursive=True)] if java else []:
        with suppress(psutil.Error):  # it ended while it was looked at
            total += sum(process.cpu_times()[:4])  # its children's that have ended too
    return total


def rows_in(folder: Path) -> int:
    """The rows of a folder's Parquet files."""
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


def scores_by_id(folder: Path) -> dict[int, float]:
    """Read the scores of a folder's Parquet files, by row id."""
    scored = pq.read_table(folder, columns=["row_id", "score"]).to_pydict()
    return dict(zip(scored["row_id"], scored["score"], strict=True))


if __name__ == "__main__":
    main()
