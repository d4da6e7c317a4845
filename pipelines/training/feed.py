"""The feed: a rank's rows from Parquet to padded batches, shuffled within a bounded buffer, read ahead by one thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.features.columns import aligned
from pipelines.training.decoding import Columns, DecodedRows, SliceReader
from pipelines.training.plan import RowPlan

CHECKSUM_MODULUS = 2**31 - 1
READ_AHEAD = 2  # chunks that wait, decoded, while the network trains on another


@dataclass(frozen=True)
class Chunk:
    """`steps` batches for one compiled call, padded with rows of weight 0 to its full shape.

    inputs (k, batch, …) each, labels (k, batch) or (k, batch, horizon), weights (k, batch).
    """

    steps: int
    inputs: tuple[npt.NDArray[Any], ...]
    labels: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


@dataclass
class Receipt:
    """What a rank has read of an epoch: rows, and the sum of their row ids modulo 2^31 - 1, which no order changes."""

    rows: int = 0
    checksum: int = 0

    def add(self, row_ids: npt.NDArray[np.int64]) -> None:
        """Count some rows, and add their ids to the checksum."""
        self.rows += len(row_ids)
        self.checksum += int(np.mod(row_ids, CHECKSUM_MODULUS).sum())


_Item = tuple[Chunk, "npt.NDArray[np.int64]"] | BaseException | None


class Feed:
    """One rank's batches of a split, epoch by epoch.

    In memory are at most a block, what Parquet decodes at once, and READ_AHEAD + 2 chunks, whatever the table's size or its row
    groups'. A row is copied twice: from its columns into the block, and from there, shuffled, into its chunk.
    """

    def __init__(self, plan: RowPlan, columns: Columns, rank: int, steps_per_call: int) -> None:
        self._plan = plan
        self._columns = columns
        self._rank = rank
        self._steps_per_call = steps_per_call

    def shape(self) -> Chunk:
        """A chunk without rows: the shape that all of them have."""
        return self._new_buffer().chunk(0)

    def epoch(self, epoch: int, receipt: Receipt) -> Generator[Chunk]:
        """The rank's chunks of an epoch; `receipt` is filled in as they are handed out.

        Raises DataError, naming the file, when one can't be read.
        """
        waiting: queue.Queue[_Item] = queue.Queue(READ_AHEAD)
        stopped = threading.Event()

        def put(item: _Item) -> None:
            while not stopped.is_set():
                try:
                    waiting.put(item, timeout=0.1)
                except queue.Full:
                    continue
                return

        def read() -> None:
            try:
                for pair in self._chunks(epoch):
                    put(pair)
                    if stopped.is_set():
                        return
                put(None)
            except BaseException as error:  # noqa: BLE001 (handed to the consumer, who raises it)
                put(error)

        reader = threading.Thread(target=read, name="feed", daemon=True)
        reader.start()
        try:
            while (item := waiting.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                receipt.add(item[1])
                yield item[0]
        finally:
            stopped.set()
            reader.join()

    def _chunks(self, epoch: int) -> Iterator[tuple[Chunk, npt.NDArray[np.int64]]]:
        """Chunks, and the ids of their rows; the last ones may be padded, and each rank gives the same number of steps."""
        buffer, steps_left = self._new_buffer(), self._plan.steps(epoch)
        for rows, order in self._blocks(epoch):
            start = 0
            while start < len(order):
                start += buffer.fill(rows, order[start:])
                if buffer.is_full:
                    yield buffer.chunk(self._steps_per_call), buffer.row_ids
                    buffer, steps_left = self._new_buffer(), steps_left - self._steps_per_call
        while steps_left > 0:
            yield buffer.chunk(min(steps_left, self._steps_per_call)), buffer.row_ids
            buffer, steps_left = self._new_buffer(), steps_left - self._steps_per_call

    def _blocks(self, epoch: int) -> Iterator[tuple[DecodedRows, npt.NDArray[np.int64]]]:
        """The rank's blocks, each in the room of the one before, and in which order their rows are wanted."""
        reader, room = SliceReader(self._columns), self._columns.room(0)
        for block in self._plan.blocks(epoch, self._rank):
            count = sum(piece.stop - piece.start for piece in block.slices)
            if len(room) < count:
                room = self._columns.room(count)
            filled = 0
            for piece in block.slices:
                filled += reader.read(piece, room[filled:count])
            yield room[:count], block.order()

    def _new_buffer(self) -> _ChunkBuffer:
        return _ChunkBuffer(self._columns, self._steps_per_call, self._plan.batch_size)


class _ChunkBuffer:
    """A chunk that is filled with rows until it is full."""

    def __init__(self, columns: Columns, steps: int, batch: int) -> None:
        self._shape = (steps, batch)
        self._rows = columns.room(steps * batch)
        self._filled = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another row."""
        return self._filled == len(self._rows)

    @property
    def row_ids(self) -> npt.NDArray[np.int64]:
        """The ids of the rows that are in it."""
        return self._rows.row_ids[: self._filled]

    def fill(self, rows: DecodedRows, order: npt.NDArray[np.int64]) -> int:
        """Take the first of the rows in their order, as many as there is room for; return how many."""
        selected = order[: len(self._rows) - self._filled]
        rows.take(selected, self._rows[self._filled : self._filled + len(selected)])
        self._filled += len(selected)
        return len(selected)

    def chunk(self, steps: int) -> Chunk:
        """The chunk, as so many steps, with zeros where no row is."""
        weights = aligned((len(self._rows),), np.float32)
        weights[: self._filled], weights[self._filled :] = 1, 0
        for values in self._rows.arrays():
            values[self._filled :] = 0
        inputs = tuple(map(self._in_steps, self._rows.inputs))
        return Chunk(steps, inputs, self._in_steps(self._rows.labels), self._in_steps(weights))

    def _in_steps(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values.reshape(*self._shape, *values.shape[1:])
