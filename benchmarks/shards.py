"""Batches of one rank for the peers, from the same Parquet file: row groups read in turn, shuffled within, cut into batches.

Imports nothing of ringmill: the peer on torch runs in an environment without it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


class Work(NamedTuple):
    """The work of one program of the benchmark, and the file in which it writes its result."""

    case: str
    program: str
    workload: str
    ranks: int
    batch: int
    epochs: int
    train: str
    validation: str
    out: str

    @classmethod
    def read(cls, path: str) -> Work:
        """From the file that the benchmark wrote."""
        return cls(**json.loads(Path(path).read_text()))

    def write_result(self, epochs: list[dict[str, float]], **more: Any) -> None:
        """Write the result: of each epoch its rows, seconds and mean loss, and by the machine's clock when it was there."""
        result = {"epochs": epochs, "ended": time.monotonic(), **more}
        Path(self.out).write_text(json.dumps(result))


def stop(spark: Any) -> None:
    """Stop a session of the embedded cluster and remove its executors' folders: each holds a copy of every jar."""
    application = spark.sparkContext.applicationId
    spark.stop()
    shutil.rmtree(Path(os.environ["SPARK_HOME"]) / "work" / application, ignore_errors=True)


class Shard:
    """A rank's share of a file: every so many-th row group, in as many whole batches as every rank has."""

    def __init__(self, path: str, rank: int, ranks: int, batch: int) -> None:
        self._path, self._rank, self._batch = path, rank, batch
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            self._names = [name for name in file.schema_arrow.names if name not in ("row_id", "label")]
        counts = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        self._groups = range(rank, len(counts), ranks)
        self.numbers = len(self._names)
        self.steps = min(sum(counts[first::ranks]) for first in range(ranks)) // batch

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Its batches: numbers (batch, numbers) and labels (batch,)."""
        generator = np.random.default_rng([epoch, self._rank])
        rest, steps = self._empty(), self.steps
        for group in generator.permutation(np.array(self._groups)):
            numbers, labels = self._read(int(group), generator)
            rest = np.concatenate([rest[0], numbers]), np.concatenate([rest[1], labels])
            batches = len(rest[1]) // self._batch
            for index in range(min(batches, steps)):
                cut = slice(index * self._batch, (index + 1) * self._batch)
                yield rest[0][cut], rest[1][cut]
            steps -= min(batches, steps)
            rest = rest[0][batches * self._batch :], rest[1][batches * self._batch :]

    def _empty(self) -> Batch:
        return np.zeros((0, self.numbers), np.float32), np.zeros(0, np.float32)

    def _read(self, group: int, generator: np.random.Generator) -> Batch:
        with pq.ParquetFile(self._path) as file:
            table = file.read_row_group(group, columns=["label", *self._names], use_threads=False)
        order = generator.permutation(table.num_rows)
        numbers = np.empty((table.num_rows, self.numbers), np.float32)
        for index, name in enumerate(self._names):
            numbers[:, index] = table[name].to_numpy()
        return numbers[order], table["label"].to_numpy()[order]
