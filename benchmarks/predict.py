"""Batch scoring of predict against Keras in a `pandas_udf` and in Spark's own `predict_batch_udf`: rows a second, side by side.

`python -m benchmarks.predict` exports a network of the flights' size, writes rows of raw values (26 numbers, 4 words) as
Parquet, and scores the same files by each in turn, in one Spark application on two cores. Each scores some of the rows first,
so that every worker has loaded its model. Nothing is written: what is compared is reading, scoring and what lies between.
Workers keep the Keras model from task to task. `predict` makes batches of 32 rows unless it is told otherwise: it is measured
so, on a tenth of the rows, and with whole Arrow batches. All must score the first rows alike, to 1e-6.
"""

from __future__ import annotations

import argparse
import inspect
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import FloatType
from rich.console import Console

from benchmarks.results import grid, store
from benchmarks.serving_model import NUMBERS, VOCABULARY, WORDS, export_model
from pipelines.flows.scoring import score_examples
from pipelines.serving.bundle import Bundle
from schemas import lake

NAMES = (*(f"number{at}" for at in range(NUMBERS)), *(f"word{at}" for at in range(WORDS)))
FILES, ROW_GROUP = 8, 50_000
BATCH_ROWS = 10_000  # of a record batch, and of a call of Keras
WARM_UP_ROWS, COMPARED_ROWS = 50_000, 1_000
SLOW_PART = 10  # of the rows that Keras scores in the batches that it makes unless told otherwise
Score = Callable[[DataFrame, Path], DataFrame]


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        measure(arguments.folder, arguments.rows, arguments.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        subprocess.run([sys.executable, "-c", f"{PREPARE}({folder!r}, {arguments.rows})"], check=True)
        program = str(Path(sys.executable).with_name("spark-submit"))
        options = ["--folder", folder, "--rows", str(arguments.rows), "--rounds", str(arguments.rounds)]
        # One thread of TensorFlow's a worker, as there is a worker a core.
        threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        subprocess.run([program, __file__, *options], env={**os.environ, **threads}, check=True)


PREPARE = "from pathlib import Path; from benchmarks.predict import prepare; prepare"


def prepare(folder: str, rows: int) -> None:
    """Export the model and write the rows: numbers with some missing ones, words of which some are unknown."""
    export_model(Path(folder) / "m")
    (Path(folder) / "rows").mkdir()
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
        pq.write_table(pa.table(columns), Path(folder) / "rows" / f"{file}.parquet", row_group_size=ROW_GROUP)


def measure(folder: Path, rows: int, rounds: int) -> None:
    """Score by each in turn, in this application."""
    spark = SparkSession.builder.appName("ringmill benchmark predict").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", BATCH_ROWS)
    all_rows = spark.read.parquet(str(folder / "rows"))
    first = all_rows.where(F.col("row_id") < COMPARED_ROWS)
    scored = {name: scores_by_id(score(first, folder / "m")) for name, score in CONTENDERS.items()}
    differences = {name: max(abs(each - scored["ours"][at]) for at, each in of.items()) for name, of in scored.items()}
    assert all(len(of) == min(rows, COMPARED_ROWS) for of in scored.values()) and max(differences.values()) <= 1e-6, differences
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    counts = {name: rows // (SLOW_PART if name == UNTUNED else 1) for name in CONTENDERS}
    for _ in range(rounds):
        for name, score in CONTENDERS.items():
            timed(score(all_rows.where(F.col("row_id") < WARM_UP_ROWS), folder / "m"))
            seconds[name].append(timed(score(all_rows.where(F.col("row_id") < counts[name]), folder / "m")))
    show(counts, seconds, differences)
    spark.stop()


def show(counts: dict[str, int], seconds: dict[str, list[float]], differences: dict[str, float]) -> None:
    """Print the table and store the figures."""
    table = grid("Batch scoring", "by", "rows", "seconds", "rows/s", "ours is faster by", "greatest difference")
    rates = {name: counts[name] / min(runs) for name, runs in seconds.items()}
    for name, runs in seconds.items():
        shown = ", ".join(f"{duration:.1f}" for duration in runs)
        faster = f"{rates['ours'] / rates[name]:.1f}"
        table.add_row(name, f"{counts[name]:,}", shown, f"{rates[name]:,.0f}", faster, f"{differences[name]:.1e}")
    Console(width=120, highlight=False).print(table)
    store("predict", {"rows": counts, "seconds": seconds, "differences": differences})


def timed(scored: DataFrame) -> float:
    """Seconds to score all rows."""
    started = time.monotonic()
    scored.write.format("noop").mode("overwrite").save()
    return time.monotonic() - started


def scores_by_id(scored: DataFrame) -> dict[int, float]:
    """Scores by the rows' ids."""
    return {row.row_id: float(row.score) for row in scored.select("row_id", "score").collect()}


def ours(rows: DataFrame, model: Path) -> DataFrame:
    """What jobs/predict.py does with examples."""
    config = SimpleNamespace(config=SimpleNamespace(contracts=""))  # which an error names
    return score_examples(cast("Any", config), rows, Bundle(str(model)), (lake.ROW_ID,))


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


UNTUNED = "pandas_udf, Keras in its batches of 32"
CONTENDERS: dict[str, Score] = {
    "ours": ours,
    UNTUNED: partial(keras_udf, batch_rows=32),
    "pandas_udf, Keras in whole batches": keras_udf,
    "predict_batch_udf, Keras in whole batches": batch_udf,
}

if __name__ == "__main__":
    # Workers load functions of a module once, and those of a program anew for every task, with their caches.
    from benchmarks.predict import main as main_of_module

    main_of_module()
