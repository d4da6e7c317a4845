"""Files that can't be cut anywhere, each read from its beginning to its end by one task, and cut into records by Python.

Spark reads them in pieces that end with one byte of choice, in parallel and from any file system, and sorts the pieces of each
file: a task holds a few pieces and a record, never a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, groupby
from operator import itemgetter

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.io.sources.file_names import file_path
from pipelines.io.sources.files import read_text
from pipelines.io.sources.records import Cut
from pipelines.workers import forget_archives

RECORDS = pa.schema([("file", pa.string()), ("row", pa.int64()), ("value", pa.binary()), ("flaw", pa.string())])
COLUMNS = "file string, row bigint, value binary, flaw string"
BATCH_ROWS = 8192
BATCH_BYTES = 1 << 22


def read_records(spark: SparkSession, files: list[str], cut: Cut, *, end: str) -> DataFrame:
    """The records that `cut` makes of each file's bytes: `file`, `row` (counted from 0), `value`, and its `flaw`, if any.

    `end` is the ASCII character with which pieces end: one that comes often, as a line end in text.
    """
    pieces = read_text(spark, files, line_end=end).select(
        file_path().alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("number"),
        F.col("value").cast("binary"),
    )
    in_order = pieces.repartition("file").sortWithinPartitions("file", "block", "number").select("file", "value")
    return in_order.mapInArrow(partial(_cut_files, cut=cut, end=end.encode()), COLUMNS)


def _cut_files(batches: Iterator[pa.RecordBatch], cut: Cut, end: bytes) -> Iterator[pa.RecordBatch]:
    forget_archives()
    pieces = chain.from_iterable(zip(*(column.to_pylist() for column in batch.columns), strict=True) for batch in batches)
    rows: list[tuple[str, int, bytes, str | None]] = []
    size = 0
    for file, of_file in groupby(pieces, key=itemgetter(0)):
        for number, record in enumerate(cut(_content(map(itemgetter(1), of_file), end))):
            rows.append((file, number, *record))
            size += len(record.text)
            if len(rows) == BATCH_ROWS or size >= BATCH_BYTES:
                yield _batch(rows)
                rows, size = [], 0
    if rows:
        yield _batch(rows)


def _content(pieces: Iterator[bytes], end: bytes) -> Iterator[bytes]:
    """A file's bytes, some thousand pieces at a time."""
    lead = b""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece) + 1
        if size >= BATCH_BYTES:
            yield lead + end.join(gathered)
            lead, gathered, size = end, [], 0
    if gathered:
        yield lead + end.join(gathered)


def _batch(rows: list[tuple[str, int, bytes, str | None]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, RECORDS, strict=True)], schema=RECORDS
    )
