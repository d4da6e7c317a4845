"""A baseline that any pipeline can declare: scikit-learn's gradient boosting on the model's own features."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import Binary, GradientBoosting, Multiclass, Task
from pipelines.errors import ConfigError
from pipelines.features.columns import fill_matrix, flat
from pipelines.features.fitted import FittedSpec
from pipelines.io.filesystem import locate

ROWS_AT_ONCE = 65_536
MOST_IDS = 255  # of a column that scikit-learn takes for categories; one with more it takes for a number


class Boosted(NamedTuple):
    """A fitted baseline: scikit-learn's estimator, how many rows it was trained on, and the seconds that took."""

    estimator: Any
    rows: int
    seconds: float


def fit_boosting(config: GradientBoosting, task: Task, spec: FittedSpec, paths: Sequence[str]) -> Boosted:
    """Train on at most `config.rows` rows of the train split's Parquet files.

    Rows lie sorted by a hash of their key, so the first ones of each file are a random sample. Raises ConfigError when
    scikit-learn is not installed.
    """
    started = time.monotonic()
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(
            "evaluate.gradient_boosting: scikit-learn is not installed; expected it in the driver's environment. Install "
            "scikit-learn, or remove the section."
        ) from error
    kind = HistGradientBoostingRegressor if task.kind == "regression" else HistGradientBoostingClassifier
    sizes = list(spec.sizes.values())
    categorical = [len(spec.numbers) + index for index, size in enumerate(sizes) if size <= MOST_IDS]
    estimator = kind(
        max_iter=config.iterations,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.leaves,
        early_stopping=False,
        categorical_features=categorical or None,
        random_state=0,
    )
    sample = sample_rows(paths, config.rows, ["label", *spec.columns])
    with threadpool_limits(config.threads, user_api="openmp"):
        estimator.fit(_matrix(sample, spec), sample["label"].to_numpy())
    return Boosted(estimator, sample.num_rows, time.monotonic() - started)


def boosted_predictions(boosted: Boosted, task: Task, spec: FittedSpec, paths: Mapping[str, Sequence[str]]) -> pa.Table:
    """Predictions of the rows of each split's Parquet files, with the columns of the table `predictions`.

    Rows are read some at a time; row ids, labels and predictions of all stay in memory.
    """
    tables = [
        _predicted(boosted, task, spec, batch).append_column("split", pa.array([split] * batch.num_rows, pa.string()))
        for split, files in paths.items()
        for path in files
        for batch in _batches(path, ["row_id", "label", *spec.columns])
    ]
    return pa.concat_tables(tables)


def _predicted(boosted: Boosted, task: Task, spec: FittedSpec, rows: pa.RecordBatch) -> pa.Table:
    columns = {"row_id": rows.column("row_id"), "label": rows.column("label")}
    values, estimator = _matrix(rows, spec), boosted.estimator
    if isinstance(task, Binary):
        scores = _by_class(estimator.predict_proba(values), estimator.classes_, 2)[:, 1]
        return pa.table({**columns, "score": pa.array(scores.astype(np.float32))})
    if isinstance(task, Multiclass):
        scores = _by_class(estimator.predict_proba(values), estimator.classes_, len(task.classes)).astype(np.float32)
        offsets = np.arange(0, scores.size + 1, scores.shape[1], dtype=np.int32)
        predictions = pa.ListArray.from_arrays(offsets, pa.array(scores.reshape(-1)))
        return pa.table({**columns, "predicted": scores.argmax(axis=1).astype(np.float32), "predictions": predictions})
    return pa.table({**columns, "predicted": estimator.predict(values).astype(np.float32)})


def _by_class(probabilities: npt.NDArray[Any], present: npt.NDArray[Any], classes: int) -> npt.NDArray[Any]:
    """Probabilities of all classes; that of a class that the sample lacks is 0."""
    every = np.zeros((len(probabilities), classes))
    every[:, present.astype(int)] = probabilities
    return every


def _matrix(rows: pa.Table | pa.RecordBatch, spec: FittedSpec) -> npt.NDArray[np.float32]:
    """All features side by side, shape (rows, features): numbers, ids, then the values of each array."""
    names = (*spec.numbers, *spec.ids)
    matrix = np.empty((rows.num_rows, len(names)), np.float32)
    fill_matrix(rows, names, matrix)
    arrays = [flat(rows.column(name), np.float32) for tensor in spec.tensors for name in tensor.columns]
    return np.concatenate([matrix, *arrays], axis=1) if arrays else matrix


def sample_rows(paths: Sequence[str], rows: int, columns: Sequence[str]) -> pa.Table:
    """At most `rows` rows of the features table's files, of each in proportion to its size: the first ones, a random sample."""
    files = [_open(path) for path in paths]
    total_rows = sum(file.metadata.num_rows for file in files)
    tables = []
    for file in files:
        remaining = file.metadata.num_rows if total_rows <= rows else rows * file.metadata.num_rows // total_rows
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
            tables.append(pa.Table.from_batches([batch.slice(0, remaining)]))
            remaining -= tables[-1].num_rows
            if remaining <= 0:
                break
    return pa.concat_tables(tables)


def _batches(path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    yield from _open(path).iter_batches(ROWS_AT_ONCE, columns=list(columns))


def _open(path: str) -> pq.ParquetFile:
    system, name = locate(path)
    return pq.ParquetFile(system.open_input_file(name))
