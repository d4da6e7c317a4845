"""The bootstrap's part in a Spark task: sorted predictions in, metrics of some replicates out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipelines.config import METRICS, Binary, Multiclass, Task
from pipelines.evaluation.replicates import Accumulator, BinaryReplicates, MulticlassReplicates, RegressionReplicates, parts
from pipelines.evaluation.weights import hash_ids, poisson_weights
from pipelines.workers import forget_archives


@dataclass(frozen=True)
class Plan:
    """What is measured, and how replicates are shared out: in `blocks` blocks, a Spark partition each.

    Groups of rows that `thresholds` names have thresholds of their own, and are measured however few rows they have; others, of
    fewer than `least_rows`, are counted only. `bins` are those of the calibration error.
    """

    task: Task
    thresholds: Mapping[str, float]
    threshold: float = 0.5
    bins: int = 10
    replicates: int = 200
    blocks: int = 1
    least_rows: int = 0

    def block(self, partition: int) -> range:
        """The replicates of one partition; the first block begins with 0, the sample itself."""
        first, end = ((1 + self.replicates) * index // self.blocks for index in (partition, partition + 1))
        return range(first, end)

    def accumulator(self, group: str, replicates: int) -> Accumulator:
        """What adds up the rows of one group."""
        if isinstance(self.task, Binary):
            return BinaryReplicates(replicates, self.thresholds.get(group, self.threshold), self.bins)
        if isinstance(self.task, Multiclass):
            return MulticlassReplicates(replicates, len(self.task.classes))
        return RegressionReplicates(replicates)

    def schema(self) -> pa.Schema:
        """The columns of `replicate_batches`: a row a group and replicate; metrics are null of a group that is only counted."""
        counts = [("group", pa.string()), ("replicate", pa.int32()), ("rows", pa.int64()), ("checksum", pa.int64())]
        return pa.schema([*counts, *((name, pa.float64()) for name in METRICS[self.task.kind])])


def replicate_batches(batches: Iterator[pa.RecordBatch], plan: Plan) -> Iterator[pa.RecordBatch]:
    """Batches of one partition's predictions, sorted by `group`, to a batch of metrics a group.

    Each row has `partition`, `group`, `row_id`, `label_bits` (a hash of the label), and what the task's accumulator takes.
    """
    forget_archives()
    current: _GroupSums | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        replicates = plan.block(batch.column("partition")[0].as_py())
        for name, start, stop in _groups(batch):
            if current is None or current.name != name:
                if current is not None:
                    yield current.finish()
                current = _GroupSums(name, replicates, plan)
            for part in parts(batch, start, stop):
                current.add(part)
    if current is not None:
        yield current.finish()


class _GroupSums:
    """The sums of one group of rows."""

    def __init__(self, name: str, replicates: range, plan: Plan) -> None:
        self.name = name
        self._replicates, self._plan = replicates, plan
        self._accumulator = plan.accumulator(name, len(replicates))
        self._rows, self._checksum = 0, np.zeros(1, np.uint64)

    def add(self, rows: pa.RecordBatch) -> None:
        row_ids = rows.column("row_id").to_numpy(zero_copy_only=False)
        self._accumulator.add(rows, poisson_weights(row_ids, self._replicates).astype(np.float64))
        self._rows += rows.num_rows
        self._checksum += np.sum(hash_ids(row_ids ^ rows.column("label_bits").to_numpy(zero_copy_only=False)))

    def finish(self) -> pa.RecordBatch:
        measured = self.name in self._plan.thresholds or self._rows >= self._plan.least_rows
        replicates = np.array(self._replicates if measured else self._replicates[:1], np.int32)
        count = len(replicates)
        columns: list[pa.Array] = [pa.array([self.name] * count), pa.array(replicates), pa.array([self._rows] * count)]
        columns.append(pa.array(np.repeat(self._checksum.view(np.int64), count)))
        metrics = self._accumulator.metrics() if measured else {}
        columns += [pa.array(metrics[m]) if measured else pa.nulls(count, pa.float64()) for m in METRICS[self._plan.task.kind]]
        return pa.RecordBatch.from_arrays(columns, schema=self._plan.schema())


def _groups(batch: pa.RecordBatch) -> Iterator[tuple[str, int, int]]:
    """Each run of one group: its name, first row and end."""
    names = batch.column("group").dictionary_encode()
    indices = names.indices.to_numpy(zero_copy_only=False)
    bounds = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(indices)]
    for start, stop in pairwise(bounds):
        yield names.dictionary[int(indices[start])].as_py(), start, stop
