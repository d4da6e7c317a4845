"""The feed: a rank's rows from Parquet to padded batches, shuffled within a bounded buffer, read ahead by one thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.columns import flat, network_inputs
from pipelines.errors import DataError
from pipelines.fitted import FittedSpec
from pipelines.storage import locate
from pipelines.training.plan import RowGroup, RowPlan, Slice

CHECKSUM_MODULUS = 2**31 - 1
READ_ROWS = 1 << 16  # rows that Parquet decodes at once
WHOLE_BYTES = 1 << 24  # of row groups that are fetched at once; of larger ones READ_BYTES of each column
READ_BYTES = 1 << 18
READ_AHEAD = 2  # chunks that wait, decoded, while the network trains on another


@dataclass(frozen=True)
class Columns:
    """Which columns of the features table are what; with a `horizon` a label is an array of so many values."""

    spec: FittedSpec
    horizon: int | None = None
    label: str = "label"
    row_id: str = "row_id"

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        return [self.row_id, self.label, *self.spec.columns]

    def empty(self) -> Rows:
        """No rows, in the shapes that rows have."""
        spec = self.spec
        tensors = (np.zeros((0, *wanted.shape), wanted.dtype) for wanted in spec.tensors)
        inputs = (np.zeros((0, len(spec.numbers)), np.float32), np.zeros((0, len(spec.ids)), np.int32), *tensors)
        labels = (0,) if self.horizon is None else (0, self.horizon)
        return Rows(inputs, np.zeros(labels, np.float32), np.zeros(0, np.int64))

    def decoded(self, table: pa.Table) -> Rows:
        """The rows of a table."""
        label = table[self.label]
        labels = label.to_numpy() if self.horizon is None else flat(label, np.float32)
        return Rows(network_inputs(table, self.spec), labels, table[self.row_id].to_numpy())


@dataclass(frozen=True)
class Rows:
    """Some rows, decoded: the network's inputs (n, …), labels (n,) or (n, horizon), row ids (n,)."""

    inputs: tuple[npt.NDArray[Any], ...]
    labels: npt.NDArray[np.float32]
    row_ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_ids)

    def take(self, index: slice | npt.NDArray[np.int64]) -> Rows:
        """Some of the rows, by position."""
        return Rows(tuple(values[index] for values in self.inputs), self.labels[index], self.row_ids[index])

    @staticmethod
    def concatenate(parts: list[Rows]) -> Rows:
        """Rows one after the other."""
        if len(parts) == 1:
            return parts[0]
        return Rows(
            tuple(np.concatenate(values) for values in zip(*(part.inputs for part in parts), strict=True)),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.row_ids for part in parts]),
        )


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

    def add(self, rows: Rows) -> None:
        """Count rows in."""
        self.rows += len(rows)
        self.checksum += int(np.mod(rows.row_ids, CHECKSUM_MODULUS).sum())


class Feed:
    """One rank's batches of a split, epoch by epoch.

    In memory are at most three copies of a block (as it comes, put together, shuffled) and READ_AHEAD + 2 chunks, whatever the
    table's size or its row groups'.
    """

    def __init__(self, plan: RowPlan, columns: Columns, rank: int, steps_per_call: int) -> None:
        self._plan = plan
        self._columns = columns
        self._rank = rank
        self._steps_per_call = steps_per_call

    def shape(self) -> Chunk:
        """A chunk without rows: the shape that all of them have."""
        return self._pad(self._columns.empty(), 0)

    def epoch(self, epoch: int, receipt: Receipt) -> Generator[Chunk]:
        """The rank's chunks of an epoch; `receipt` is filled in as they are handed out.

        Raises DataError, naming the file, when one can't be read.
        """
        waiting: queue.Queue[tuple[Chunk, Rows] | BaseException | None] = queue.Queue(READ_AHEAD)
        stopped = threading.Event()

        def put(item: tuple[Chunk, Rows] | BaseException | None) -> None:
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

    def _chunks(self, epoch: int) -> Iterator[tuple[Chunk, Rows]]:
        """Chunks with the rows in them; the last ones may be padded, and each rank gives the same number of steps."""
        full = self._steps_per_call * self._plan.batch_size
        pending: list[Rows] = []
        steps_left = self._plan.steps(epoch)
        for rows in self._buffers(epoch):
            pending.append(rows)
            if sum(map(len, pending)) < full:
                continue
            joined = Rows.concatenate(pending)
            whole = len(joined) // full * full
            for start in range(0, whole, full):
                part = joined.take(slice(start, start + full))
                yield self._pad(part, self._steps_per_call), part
                steps_left -= self._steps_per_call
            pending = [joined.take(slice(whole, None))]
        rest = Rows.concatenate(pending) if pending else self._columns.empty()
        while steps_left > 0:
            yield self._pad(rest, min(steps_left, self._steps_per_call)), rest
            steps_left -= self._steps_per_call
            rest = self._columns.empty()

    def _buffers(self, epoch: int) -> Iterator[Rows]:
        """The rank's rows, block by block."""
        reader = _Reader(self._columns)
        for block in self._plan.blocks(epoch, self._rank):
            rows = Rows.concatenate([part for piece in block.slices for part in reader.read(piece)])
            yield rows.take(block.order())

    def _pad(self, rows: Rows, steps: int) -> Chunk:
        shape = (self._steps_per_call, self._plan.batch_size)
        full = shape[0] * shape[1]
        weights = np.zeros(full, np.float32)
        weights[: len(rows)] = 1

        def filled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return _filled(values, full).reshape(*shape, *values.shape[1:])

        return Chunk(steps, tuple(map(filled, rows.inputs)), filled(rows.labels), weights.reshape(shape))


class _Reader:
    """Decodes slices; one that goes on where the last one ended goes on reading, so that a huge row group is read once."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._footers: dict[str, pq.FileMetaData] = {}
        self._group: RowGroup | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None
        self._position = 0

    def read(self, piece: Slice) -> Iterator[Rows]:
        """The rows of a slice, in parts; raises DataError, naming the file, when it can't be read."""
        try:
            yield from (self._columns.decoded(pa.Table.from_batches([batch])) for batch in self._read(piece))
        except (OSError, ValueError) as error:
            raise DataError(
                f"features file {piece.group.path}: row group {piece.group.index} can't be read ({error}). "
                f"Run jobs/features.py again."
            ) from error

    def _read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        if piece.group != self._group or piece.start < self._position:
            self._open(piece.group)
        while self._position < piece.stop:
            batch = self._rest or next(self._batches, None)
            if batch is None:
                raise ValueError(f"it ends after {self._position} rows")
            skipped = min(max(piece.start - self._position, 0), len(batch))
            wanted = min(piece.stop - self._position, len(batch))
            self._rest = batch.slice(wanted) if wanted < len(batch) else None
            self._position += wanted
            if skipped < wanted:
                yield batch.slice(skipped, wanted - skipped)

    def _open(self, group: RowGroup) -> None:
        filesystem, path = locate(group.path)
        source = filesystem.open_input_file(path)
        if group.path not in self._footers:
            self._footers[group.path] = pq.read_metadata(source)
        footer = self._footers[group.path]
        # A row group of usual size is fetched in few large requests, a huge one as it is decoded.
        whole = footer.row_group(group.index).total_byte_size <= WHOLE_BYTES
        file = pq.ParquetFile(source, metadata=footer, pre_buffer=whole, buffer_size=0 if whole else READ_BYTES)
        names = self._columns.names
        self._batches = file.iter_batches(READ_ROWS, row_groups=[group.index], columns=names, use_threads=False)
        self._group, self._rest, self._position = group, None, 0


def _filled(values: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    if len(values) == rows:
        return values
    padded = np.zeros((rows, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded
