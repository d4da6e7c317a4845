"""Rows that a step stages as Parquet files in a remote store. Spark's tasks write and read them by Arrow.

Spark's own Parquet writer needs Hadoop's client for the store. Iceberg's S3FileIO has a client for tables alone, so a warehouse
behind it would need a second client for these few files. Arrow's is the one that ranks and models use already.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from pipelines.io.filesystem import locate
from pipelines.io.row_groups import Files, RowGroup, read_batches
from pipelines.workers import forget_archives, numbers_of_task

GROUP_BYTES = 32 << 20  # of a row group in memory, which a task holds at once


def write_rows(rows: DataFrame, folder: str) -> list[str]:
    """Write rows as Parquet files of a folder, at most one a task; return their URIs in the order of Spark's partitions.

    The folder may hold files of failed or speculative attempts besides, so read only those that are returned.
    """
    texts = tuple(name for name, type_ in rows.dtypes if type_ == "string")
    written = rows.mapInArrow(partial(_write_part, folder=folder, texts=texts), "uri string").collect()
    return sorted(row.uri for row in written)


def read_rows(spark: SparkSession, files: Files, schema: StructType) -> DataFrame:
    """The rows of such files, with this schema. Every value may be null, as in all rows that Spark reads from files."""
    nullable = schema.toNullable()
    if not files.parts:
        return spark.createDataFrame([], nullable)
    numbers = spark.range(0, len(files.parts), 1, len(files.parts))
    return numbers.mapInArrow(partial(_read_parts, parts=files.parts, schema=to_arrow_schema(nullable)), nullable)


def _write_part(batches: Iterable[pa.RecordBatch], folder: str, texts: Sequence[str]) -> Iterator[pa.RecordBatch]:
    forget_archives()
    groups = _groups(batches)
    first = next(groups, None)
    if first is None:
        return
    uri = posixpath.join(folder, f"part-{_partition():05d}-{uuid.uuid4()}.parquet")
    filesystem, path = locate(uri)
    filesystem.create_dir(posixpath.dirname(path), recursive=True)
    # Dictionaries for texts alone: to find out that numbers hardly repeat takes a third of the writing.
    with (
        filesystem.open_output_stream(path) as stream,
        pq.ParquetWriter(stream, first.schema, compression="lz4", use_dictionary=list(texts)) as writer,
    ):
        writer.write_table(first, row_group_size=first.num_rows)
        for group in groups:
            writer.write_table(group, row_group_size=group.num_rows)
    yield pa.RecordBatch.from_pydict({"uri": [uri]})


def _partition() -> int:
    context = TaskContext.get()
    return context.partitionId() if context else 0


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of at least `GROUP_BYTES`, but for the last."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows:
            held.append(_without_zones(batch))
            size += batch.nbytes
        if size >= GROUP_BYTES:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _without_zones(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with times in UTC, as Arrow reads them from files that Spark has written."""
    columns = [
        column.cast(pa.timestamp("us")) if pa.types.is_timestamp(column.type) else column  # the same instant, without its zone
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _read_parts(
    batches: Iterable[pa.RecordBatch], parts: Sequence[Sequence[RowGroup]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for number in numbers_of_task(batches):
        for rows in read_batches(parts[number], schema.names, ()):
            columns = [rows.column(field.name).cast(field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
