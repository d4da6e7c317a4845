"""The row plan: which rank reads which rows in which epoch, from Parquet footers alone.

The row groups of all files form one sequence, shuffled afresh each epoch. It is cut in as many equal ranges as there are
ranks; a range may begin and end within a row group. Each row therefore lies in exactly one range of each epoch, and ranks
differ by at most one row, so all take the same number of steps. A range is read in blocks, and a block's rows are shuffled:
seed, epoch, rank and the block's position alone decide the order. So the rows that remain of an epoch after any step are known,
and any number of ranks can share them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.config import Model
from pipelines.errors import DataError, ExternalError, is_of_store
from pipelines.io.row_groups import FOOTERS_AT_ONCE, footer


class PlannedRowGroup(Model, allow_inf_nan=True):
    """One row group of one Parquet file."""

    path: str
    index: int
    rows: int


class Slice(NamedTuple):
    """Rows [start, stop) of one row group."""

    group: PlannedRowGroup
    start: int
    stop: int


class ShuffleBlock(NamedTuple):
    """Rows that are decoded and shuffled together, and which of them count: [start, stop), once shuffled."""

    slices: tuple[Slice, ...]
    seed: tuple[int, ...] | None
    start: int
    stop: int

    def order(self) -> npt.NDArray[np.int64]:
        """Where the rows that count lie in the slices, in the order of training."""
        rows = sum(piece.stop - piece.start for piece in self.slices)
        if self.seed is None:
            return np.arange(self.start, self.stop)
        return np.random.default_rng(self.seed).permutation(rows)[self.start : self.stop]


class TrainedPart(Model, allow_inf_nan=True):
    """The part of an epoch that was trained before an interruption: so many steps by so many ranks."""

    ranks: int
    steps: int


class Start(Model, allow_inf_nan=True):
    """Where a plan begins: an epoch, and the part of it that is trained already, interruption by interruption."""

    epoch: int = 0
    taken: tuple[TrainedPart, ...] = ()


class RowPlan(Model, allow_inf_nan=True):
    """The rows of one split, and how ranks share them: `batch_size` rows a rank and step, blocks of at most `shuffle_rows`."""

    groups: tuple[PlannedRowGroup, ...]
    ranks: int
    batch_size: int
    seed: int
    shuffle: bool
    shuffle_rows: int
    start: Start = Start()

    @property
    def rows(self) -> int:
        """The number of rows of the whole split."""
        return sum(group.rows for group in self.groups)

    def remaining_rows(self, epoch: int) -> int:
        """Rows of an epoch that remain to be trained on."""
        remaining_rows = self.rows
        for interruption in self.interruptions(epoch):
            shares = (last - first for first, last in pairwise(_bounds(remaining_rows, interruption.ranks)))
            remaining_rows -= sum(min(share, interruption.steps * self.batch_size) for share in shares)
        return remaining_rows

    def steps(self, epoch: int) -> int:
        """Steps that remain of an epoch, the same on each rank: what the rank with most rows needs."""
        return -(-max(self.rank_rows(epoch, rank) for rank in range(self.ranks)) // self.batch_size)

    def rank_rows(self, epoch: int, rank: int) -> int:
        """Rows that a rank has yet to read of an epoch."""
        bounds = _bounds(self.remaining_rows(epoch), self.ranks)
        return bounds[rank + 1] - bounds[rank]

    def step_rows(self, epoch: int) -> npt.NDArray[np.float32]:
        """Rows that all ranks together train on at each remaining step, shape (steps,): what its gradient is divided by."""
        ranks = np.array([self.rank_rows(epoch, rank) for rank in range(self.ranks)])[:, None]
        starts = np.arange(self.steps(epoch))[None, :] * self.batch_size
        rows: npt.NDArray[np.float32] = np.clip(ranks - starts, 0, self.batch_size).sum(axis=0).astype(np.float32)
        return rows

    def blocks(self, epoch: int, rank: int) -> list[ShuffleBlock]:
        """The rank's rows of an epoch, in the order of training."""
        interruptions = self.interruptions(epoch)
        if not interruptions:
            return self._range(epoch, rank, self.ranks)
        shares = [self._range(epoch, other, interruptions[0].ranks) for other in range(interruptions[0].ranks)]
        for before, ranks in zip(interruptions, [*(after.ranks for after in interruptions[1:]), self.ranks], strict=True):
            steps = before.steps * self.batch_size
            rest = [block for share in shares for block in _cut(share, steps, _rows(share))]
            shares = [_cut(rest, first, last) for first, last in pairwise(_bounds(_rows(rest), ranks))]
        return shares[rank]

    def interruptions(self, epoch: int) -> tuple[TrainedPart, ...]:
        """The parts of an epoch that were trained before the plan begins, interruption by interruption."""
        return self.start.taken if epoch == self.start.epoch else ()

    def _range(self, epoch: int, rank: int, ranks: int) -> list[ShuffleBlock]:
        """A rank's range of a whole epoch."""
        bounds = _bounds(self.rows, ranks)
        first, last = bounds[rank], bounds[rank + 1]
        blocks, waiting, rows = [], [], 0
        for piece in self._slices(epoch, first, last):
            start = piece.start
            while start < piece.stop:
                stop = min(piece.stop, start + self.shuffle_rows - rows)
                waiting.append(Slice(piece.group, start, stop))
                rows, start = rows + stop - start, stop
                if rows == self.shuffle_rows:
                    blocks.append((tuple(waiting), rows))
                    waiting, rows = [], 0
        if waiting:
            blocks.append((tuple(waiting), rows))
        seed = (self.seed, epoch, rank)
        return [
            ShuffleBlock(slices, (*seed, index) if self.shuffle else None, 0, rows)
            for index, (slices, rows) in enumerate(blocks)
        ]

    def _slices(self, epoch: int, first: int, last: int) -> Iterator[Slice]:
        position = 0
        for index in self._order(epoch):
            group = self.groups[index]
            start, stop = max(first - position, 0), min(last - position, group.rows)
            if start < stop:
                yield Slice(group, start, stop)
            position += group.rows

    def _order(self, epoch: int) -> Iterable[int]:
        if not self.shuffle:
            return range(len(self.groups))
        order: list[int] = np.random.default_rng([self.seed, epoch]).permutation(len(self.groups)).tolist()
        return order


def _bounds(rows: int, ranks: int) -> list[int]:
    return [rows * rank // ranks for rank in range(ranks + 1)]


def _rows(blocks: list[ShuffleBlock]) -> int:
    return sum(block.stop - block.start for block in blocks)


def _cut(blocks: list[ShuffleBlock], first: int, last: int) -> list[ShuffleBlock]:
    """Rows [first, last) of blocks that follow each other."""
    pieces, position = [], 0
    for block in blocks:
        rows = block.stop - block.start
        start, stop = max(first - position, 0), min(last - position, rows)
        if start < stop:
            pieces.append(block._replace(start=block.start + start, stop=block.start + stop))
        position += rows
    return pieces


def read_groups(paths: Iterable[str]) -> tuple[PlannedRowGroup, ...]:
    """The row groups of Parquet files, in the paths' order, from their footers.

    Raises DataError, naming the file, when a footer can't be read, and ExternalError when its store does not answer.
    """
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        return tuple(chain.from_iterable(pool.map(_groups_of, paths)))


def _groups_of(path: str) -> list[PlannedRowGroup]:
    try:
        metadata = footer(path)
    except (OSError, ValueError) as error:
        if is_of_store(error):
            raise ExternalError(
                f"features file {path}: the store did not answer ({error}). Run the same command again."
            ) from error
        raise DataError(
            f"features file {path}: its Parquet footer can't be read ({error}). Run jobs/features.py again."
        ) from error
    counts = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    return [PlannedRowGroup(path=path, index=index, rows=rows) for index, rows in enumerate(counts) if rows]
