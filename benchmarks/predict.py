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
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import FloatType
from rich.console import Console

from benchmarks.results import grid, store
from benchmarks.serving_model import NUMBERS, VOCABULARY, WORDS, export_model
from pipelines.io.row_groups import files_of
from pipelines.io.task_files import FileLayout, run_tasks
from pipelines.serving.batches import SCORE_TYPES, SCORES
from pipelines.serving.bundle import Bundle
from pipelines.serving.raw_batches import ScoringModel
from pipelines.steps.score_files import ScoreWriter
from pipelines.steps.scoring import score_examples
from schemas import tables

NAMES = (*(f"number{at}" for at in range(NUMBERS)), *(f"word{at}" for at in range(WORDS)))
SCORED = pa.schema([("row_id", pa.int64()), *zip(SCORES, SCORE_TYPES, strict=True), ("calibrated_score", pa.float32())])
FILES, ROW_GROUP = 8, 50_000
BATCH_ROWS = 10_000  # of a record batch, and of a call of Keras
WARM_UP_ROWS, COMPARED_ROWS = 50_000, 1_000
SLOW_PART = 10  # of the rows that Keras scores in the batches that it makes unless told otherwise
FIRST, WARM_UP, PART, ALL = "first", "warm_up", "part", "rows"
Score = Callable[[SparkSession, Path, Path, Path], None]
"""Scores the files of a folder by the model of another, and writes to a third."""


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


def ours(spark: SparkSession, rows: Path, model: Path, scored: Path) -> None:
    """What jobs/predict.py does with the files of examples."""
    parts, bundle = files_of(str(rows)).parts, Bundle(str(model))
    layout = FileLayout(SCORED, (str(scored),), "zstd", dictionary=True, group_bytes=128 << 20, page_rows=20_000)
    writer = ScoreWriter(parts, ScoringModel(bundle.uri, bundle.digest), layout, {"row_id": "row_id"}, {})
    run_tasks(spark, len(parts), writer)


def by_spark(score: Callable[[DataFrame, Path], DataFrame]) -> Score:
    """A way to score that Spark reads and writes for."""

    def read_and_write(spark: SparkSession, rows: Path, model: Path, scored: Path) -> None:
        score(spark.read.parquet(str(rows)), model).write.parquet(str(scored))

    return read_and_write


def ours_by_rows(rows: DataFrame, model: Path) -> DataFrame:
    """The same scoring of rows that Spark reads, as publish compares models."""
    config = SimpleNamespace(config=SimpleNamespace(contracts=""))  # which an error names
    return score_examples(cast("Any", config), rows, Bundle(str(model)), (tables.ROW_ID,))


@cache
def _keras(folder: str) -> tuple[Any, Any]:
    """TensorFlow and the model, loaded once a process."""
    import keras
    import tensorflow as tf

    return tf, keras.models.load_model(f"{folder}/model.keras")


def _keras_scores(folder: str, columns: list[npt.NDArray[Any]], batch_rows: int = BATCH_ROWS) -> npt.NDArray[np.float32]:
    """Scores of columns in the order of `NAMES`; of texts an object array."""
    tf, model = _keras(folder)
    types = {True: tf.string, False: tf.float64}
    tensors = {name: tf.constant(values, types[values.dtype == object]) for name, values in zip(NAMES, columns, strict=True)}
    scores: npt.NDArray[np.float32] = model.predict(tensors, batch_size=batch_rows, verbose=0)
    return scores


def keras_udf(rows: DataFrame, model: Path, batch_rows: int = BATCH_ROWS) -> DataFrame:
    """Keras `predict`, in batches of its own, in a pandas_udf over record batches."""
    folder = str(model)

    def scores(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        for batch in batches:
            yield pd.Series(_keras_scores(folder, [column.to_numpy() for column in batch], batch_rows))

    score = cast("Any", pandas_udf)(scores, FloatType())
    return rows.select("row_id", score(*NAMES).alias("score"))


def batch_udf(rows: DataFrame, model: Path) -> DataFrame:
    """The same by predict_batch_udf."""
    folder = str(model)

    def load() -> Callable[..., npt.NDArray[np.float32]]:
        def predict(*columns: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            return _keras_scores(folder, list(columns))

        # Spark counts the parameters.
        named = inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in NAMES])
        cast("Any", predict).__signature__ = named
        return predict

    score = predict_batch_udf(load, return_type=FloatType(), batch_size=BATCH_ROWS)
    return rows.select("row_id", score(*NAMES).alias("score"))


OURS, UNTUNED = "ours", "pandas_udf, Keras in its batches of 32"
CONTENDERS: dict[str, Score] = {
    OURS: ours,
    "ours, by Spark's rows": by_spark(ours_by_rows),
    UNTUNED: by_spark(partial(keras_udf, batch_rows=32)),
    "pandas_udf, Keras in whole batches": by_spark(keras_udf),
    "predict_batch_udf, Keras in whole batches": by_spark(batch_udf),
}

if __name__ == "__main__":
    # Workers load functions of a module once, and those of a program anew for every task, with their caches.
    from benchmarks.predict import main as main_of_module

    main_of_module()
