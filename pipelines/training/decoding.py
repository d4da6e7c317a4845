"""Rows of the features table as arrays: which columns are what, and row groups decoded slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import DataError, RankError, is_of_store
from pipelines.features.columns import aligned, fill_inputs, flat, input_room
from pipelines.features.fitted import FittedSpec
from pipelines.io.filesystem import locate
from pipelines.training.plan import PlannedRowGroup, Slice

READ_ROWS = 1 << 14  # rows that Parquet decodes at once: few enough to be in a cache still when they are copied


WHOLE_BYTES = 1 << 24  # of row groups that are fetched at once; of larger ones READ_BYTES of each column


READ_BYTES = 1 << 18


@dataclass(frozen=True)
class Columns:
    """Which columns of the features table are what; with a `horizon` a label is an array of so many values."""

    spec: FittedSpec
    horizon: int | None = None
    label: str = "label"
    row_id: str = "row_id"

    @property
    def names(self) -> list[str]:
        """The names of all columns: row id, label, then the features."""
        return [self.row_id, self.label, *self.spec.columns]

    def room(self, rows: int) -> DecodedRows:
        """Arrays for so many rows, with nothing in them yet."""
        labels = (rows,) if self.horizon is None else (rows, self.horizon)
        return DecodedRows(input_room(self.spec, rows), aligned(labels, np.float32), np.empty(rows, np.int64))

    def decode(self, batch: pa.RecordBatch, into: DecodedRows) -> None:
        """Put the rows of a batch into as much room; raises ValueError when arrays of theirs have another length."""
        fill_inputs(batch, self.spec, into.inputs)
        label = batch.column(self.label)
        into.labels[...] = label.to_numpy(zero_copy_only=False) if self.horizon is None else flat(label, np.float32)
        into.row_ids[...] = batch.column(self.row_id).to_numpy(zero_copy_only=False)


@dataclass(frozen=True)
class DecodedRows:
    """Some rows, decoded: the network's inputs (n, …), labels (n,) or (n, horizon), row ids (n,)."""

    inputs: tuple[npt.NDArray[Any], ...]
    labels: npt.NDArray[np.float32]
    row_ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_ids)

    def __getitem__(self, part: slice) -> DecodedRows:
        """A view of some of the rows."""
        return DecodedRows(tuple(values[part] for values in self.inputs), self.labels[part], self.row_ids[part])

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """All arrays: the inputs, the labels and the row ids."""
        return (*self.inputs, self.labels, self.row_ids)

    def take(self, positions: npt.NDArray[np.int64], into: DecodedRows) -> None:
        """Copy rows, by position, into as much room."""
        for values, target in zip(self.arrays(), into.arrays(), strict=True):
            np.take(values, positions, axis=0, out=target, mode="clip")  # another mode would copy twice


class SliceReader:
    """Decodes slices; one that goes on where the last one ended goes on reading, so that a huge row group is read once."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._footers: dict[str, pq.FileMetaData] = {}
        self._group: PlannedRowGroup | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None
        self._position = 0

    def read(self, piece: Slice, room: DecodedRows) -> int:
        """Put a slice's rows at the beginning of the room, and return how many; raises DataError, naming the file, when they
        can't be read.
        """
        filled = 0
        try:
            for batch in self._read(piece):
                self._columns.decode(batch, room[filled : filled + len(batch)])
                filled += len(batch)
        except (OSError, ValueError) as error:
            if is_of_store(error):  # the run goes on from its last checkpoint
                raise RankError(f"features file {piece.group.path}: the store did not answer ({error}).") from error
            raise DataError(
                f"features file {piece.group.path}: row group {piece.group.index} can't be read ({error}). "
                f"Run jobs/features.py again."
            ) from error
        return filled

    def _read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        if piece.group != self._group or piece.start < self._position:
            self._open(piece.group)
        while self._position < piece.stop:
            batch = self._rest or next(self._batches, None)
            if batch is None:
                raise ValueError(f"it ends after {self._position} rows")
            skipped = min(max(piece.start - self._position, 0), len(batch))
            stop = min(piece.stop - self._position, len(batch))
            self._rest = batch.slice(stop) if stop < len(batch) else None
            self._position += stop
            if skipped < stop:
                yield batch.slice(skipped, stop - skipped)

    def _open(self, group: PlannedRowGroup) -> None:
        filesystem, path = locate(group.path)
        source = filesystem.open_input_file(path)
        if group.path not in self._footers:
            self._footers[group.path] = pq.read_metadata(source)
        footer = self._footers[group.path]
        # A row group of usual size is fetched in few large requests, a huge one as it is decoded.
        fits_at_once = footer.row_group(group.index).total_byte_size <= WHOLE_BYTES
        file = pq.ParquetFile(source, metadata=footer, pre_buffer=fits_at_once, buffer_size=0 if fits_at_once else READ_BYTES)
        names = self._columns.names
        self._batches = file.iter_batches(READ_ROWS, row_groups=[group.index], columns=names, use_threads=False)
        self._group, self._rest, self._position = group, None, 0
