"""The row plan: which rank reads which rows in which epoch, from Parquet footers alone.

The row groups of all files form one sequence, shuffled afresh each epoch. It is cut in as many equal ranges as there are
ranks; a range may begin and end within a row group. Each row therefore lies in exactly one range of each epoch, and ranks
differ by at most one row, so all take the same number of steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from pipelines.config import Model
from pipelines.errors import DataError
from pipelines.storage import locate


class RowGroup(Model):
    """One row group of one Parquet file."""

    path: str
    index: int
    rows: int


class Slice(NamedTuple):
    """Rows [start, stop) of one row group."""

    group: RowGroup
    start: int
    stop: int


class RowPlan(Model):
    """The rows of one split, and how ranks share them: `batch_size` rows a rank and step."""

    groups: tuple[RowGroup, ...]
    ranks: int
    batch_size: int
    seed: int
    shuffle: bool

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(group.rows for group in self.groups)

    @property
    def steps(self) -> int:
        """Steps an epoch, the same on each rank: what the rank with most rows needs."""
        return -(-max(self.rank_rows(rank) for rank in range(self.ranks)) // self.batch_size)

    def rank_rows(self, rank: int) -> int:
        """Rows that a rank reads in an epoch."""
        first, last = self._bounds(rank)
        return last - first

    def slices(self, epoch: int, rank: int) -> list[Slice]:
        """The rank's rows of an epoch, in reading order."""
        first, last = self._bounds(rank)
        found, position = [], 0
        for index in self._order(epoch):
            group = self.groups[index]
            start, stop = max(first - position, 0), min(last - position, group.rows)
            if start < stop:
                found.append(Slice(group, start, stop))
            position += group.rows
        return found

    def step_rows(self) -> npt.NDArray[np.float32]:
        """Rows that all ranks together train on at each step, shape (steps,): what a step's gradient is divided by."""
        ranks = np.array([self.rank_rows(rank) for rank in range(self.ranks)])[:, None]
        starts = np.arange(self.steps)[None, :] * self.batch_size
        rows: npt.NDArray[np.float32] = np.clip(ranks - starts, 0, self.batch_size).sum(axis=0).astype(np.float32)
        return rows

    def _bounds(self, rank: int) -> tuple[int, int]:
        return self.rows * rank // self.ranks, self.rows * (rank + 1) // self.ranks

    def _order(self, epoch: int) -> Iterable[int]:
        if not self.shuffle:
            return range(len(self.groups))
        order: list[int] = np.random.default_rng([self.seed, epoch]).permutation(len(self.groups)).tolist()
        return order


def read_groups(paths: Iterable[str]) -> tuple[RowGroup, ...]:
    """The row groups of Parquet files, in the paths' order, from their footers.

    Raises DataError, naming the file, when a footer can't be read.
    """
    groups: list[RowGroup] = []
    for path in paths:
        filesystem, name = locate(path)
        try:
            with filesystem.open_input_file(name) as file:
                metadata = pq.ParquetFile(file).metadata
        except (OSError, ValueError) as error:
            raise DataError(
                f"features file {path}: its Parquet footer can't be read ({error}). Run jobs/features.py again."
            ) from error
        counts = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        groups += [RowGroup(path=path, index=index, rows=rows) for index, rows in enumerate(counts) if rows]
    return tuple(groups)
