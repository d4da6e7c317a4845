"""Parquet files in parts of whole row groups, read by tasks some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import ExternalError
from pipelines.io.filesystem import is_local, list_files, locate

PART_ROWS = 1 << 18  # what a task reads at most, or hardly more, whatever the cluster: what is merged follows from the files
SLICE_ROWS = 1 << 17  # are looked at at once: of a column as much as lies close to the processor
FOOTERS_AT_ONCE = 16
LOCAL_BUFFER = 1 << 18  # bytes of a column that are read at once from a local file


class RowGroup(NamedTuple):
    """One of a file's row groups."""

    uri: str
    position: int


class Files(NamedTuple):
    """The Parquet files of a folder: their columns, and their row groups, in parts that a task each reads."""

    columns: tuple[str, ...]
    parts: tuple[tuple[RowGroup, ...], ...]


def files_of(folder: str) -> Files:
    """Read the footers of a folder's Parquet files; raises ExternalError when none is there."""
    uris = [uri for uri in list_files(folder) if uri.endswith(".parquet")]
    if not uris:
        raise ExternalError(
            f"{folder}: no Parquet file is there; expected those that Spark has just written. Do Spark and pyarrow take this "
            f"path for the same place? Write lake.warehouse with its scheme."
        )
    return files_at(uris)


def files_at(uris: Sequence[str]) -> Files:
    """Read the footers of these Parquet files, which have the same columns; of no file there is no part and no column."""
    if not uris:
        return Files((), ())
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        footers = list(pool.map(footer, uris))
    groups = [
        (RowGroup(uri, index), read.row_group(index).num_rows)
        for uri, read in zip(uris, footers, strict=True)
        for index in range(read.num_row_groups)
    ]
    return Files(tuple(footers[0].schema.to_arrow_schema().names), _parts(groups))


def _parts(groups: Sequence[tuple[RowGroup, int]]) -> tuple[tuple[RowGroup, ...], ...]:
    """Row groups, each with its rows, in parts of equally many rows as far as groups allow: the largest part is waited for."""
    total = sum(rows for _, rows in groups)
    count = max(-(-total // PART_ROWS), 1)
    parts: list[list[RowGroup]] = [[] for _ in range(count)]
    before = 0
    for group, rows in groups:
        # By the middle of its rows, so that parts are as often a little too short as too long.
        parts[min((2 * before + rows) * count // max(2 * total, 1), count - 1)].append(group)
        before += rows
    return tuple(tuple(part) for part in parts if part)


def read_batches(groups: Sequence[RowGroup], columns: Iterable[str], words: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The columns of row groups, some rows at a time; `words` are those that are read as words of a dictionary.

    Of a store a row group's columns are fetched together, side by side. Of a local file they are read piece by piece, and no
    task holds them whole.
    """
    for uri, of_file in groupby(groups, lambda group: group.uri):
        (filesystem, path), local = locate(uri), is_local(uri)
        with filesystem.open_input_file(path) as opened:
            # Spark writes times in 96 bits, which Arrow would read in nanoseconds: of 292 years alone.
            file = pq.ParquetFile(
                opened,
                read_dictionary=sorted(words),
                coerce_int96_timestamp_unit="us",
                pre_buffer=not local,
                buffer_size=LOCAL_BUFFER if local else 0,
            )
            for group in of_file:
                yield from file.iter_batches(SLICE_ROWS, [group.position], sorted(columns), use_threads=False)


def footer(uri: str) -> pq.FileMetaData:
    """Read the footer of a Parquet file; raises OSError or ValueError when it can't be read."""
    filesystem, path = locate(uri)
    return pq.read_metadata(path, filesystem=filesystem)
