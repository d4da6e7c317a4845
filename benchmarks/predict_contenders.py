"""What the benchmark of predict compares: ringmill's scoring, Keras in a `pandas_udf`, and Spark's own `predict_batch_udf`.

Workers load functions of a module once, and those of a program anew for every task, with their caches.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import FloatType

from benchmarks.serving_model import NUMBERS, WORDS
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
BATCH_ROWS = 10_000  # of a record batch, and of a call of Keras
Score = Callable[[SparkSession, Path, Path, Path], None]
"""Scores the files of a folder by the model of another, and writes to a third."""


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
