"""Data files that Spark's tasks write by Arrow, and that the driver commits to an Iceberg table in one commit.

A task writes each file under a name of its own attempt and reports it as its result. Spark hands the driver the result of one
attempt of each task, and only what the driver was handed is committed. So an attempt that was killed, repeated or speculative
adds no row; its file is one that no snapshot knows, which `jobs/maintain.py` removes.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from pipelines.io.driver_rows import Row, data_file, partition_folder, partition_key
from pipelines.io.filesystem import locate
from pipelines.workers import numbers_of_task

CODECS = {"lz4_raw": "lz4"}  # by Iceberg's name; Arrow's LZ4 is the raw format
DEFAULT_CODEC, DEFAULT_GROUP_BYTES, DEFAULT_PAGE_ROWS = "zstd", 128 << 20, 20_000
WRITTEN = "uri string, partition int, rows long, report string"


class WrittenFile(NamedTuple):
    """A data file: its URI, the position of its partition among those of the layout, and its rows.

    `report` is what else its task reports to the driver, as text of a few kilobytes.
    """

    uri: str
    partition: int
    rows: int
    report: str = ""


class FileLayout(NamedTuple):
    """How a table's files are written: the columns with their field ids, a folder for each partition, and Parquet's options.

    `group_bytes` is the size of a row group in memory, before it is encoded and compressed.
    """

    schema: pa.Schema
    folders: tuple[str, ...]
    codec: str
    dictionary: bool
    group_bytes: int
    page_rows: int

    def with_constants(self, rows: pa.Table, constants: Mapping[str, object]) -> pa.Table:
        """Rows with columns that have one value in all of them, in the types of the table."""
        for name, value in constants.items():
            type_ = self.schema.field(name).type
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, type_), rows.num_rows))
        return rows

    def write(self, partition: int, rows: pa.Table, name: str) -> WrittenFile:
        """Write rows as one file, under a name that begins with `name` and ends with one of this attempt alone.

        A column that the rows lack is left out, and null to readers. An attempt that fails removes what it has written.
        """
        uri = posixpath.join(self.folders[partition], f"{name}-{uuid.uuid4()}.parquet")
        filesystem, path = locate(uri)
        filesystem.create_dir(posixpath.dirname(path), recursive=True)
        columns = pa.schema([field for field in self.schema if field.name in rows.column_names])
        table = pa.table([rows[field.name] for field in columns], schema=columns)
        group_rows = max(self.group_bytes * table.num_rows // max(table.nbytes, 1), 1)
        try:
            with filesystem.open_output_stream(path) as stream:
                pq.write_table(
                    table, stream, row_group_size=group_rows, compression=self.codec, use_dictionary=self.dictionary,
                    max_rows_per_page=self.page_rows, store_schema=False,
                )  # fmt: skip
        except BaseException:
            with suppress(OSError):
                filesystem.delete_file(path)
            raise
        return WrittenFile(uri, partition, table.num_rows)


Write: TypeAlias = Callable[[int], Iterable[WrittenFile]]


def layout_of(jvm: Any, table: Any, schema: pa.Schema, partitions: Sequence[Row]) -> FileLayout:
    """The layout of a table (Java's), whose partitions have these values by column; one without columns has one partition."""
    properties: Mapping[str, str] = dict(table.properties())
    codec = properties.get("write.parquet.compression-codec", DEFAULT_CODEC)
    return FileLayout(
        schema=schema,
        folders=tuple(partition_folder(table, partition_key(jvm, table, values)) for values in partitions),
        codec=CODECS.get(codec, codec),
        dictionary=properties.get("parquet.enable.dictionary", "true") == "true",
        group_bytes=int(properties.get("write.parquet.row-group-size-bytes", DEFAULT_GROUP_BYTES)),
        page_rows=int(properties.get("write.parquet.page-row-limit", DEFAULT_PAGE_ROWS)),
    )


def run_tasks(spark: SparkSession, tasks: int, write: Write) -> list[WrittenFile]:
    """Call `write` with 0 to `tasks` - 1, each in a task of Spark's; the files that the successful attempts report."""
    if not tasks:
        return []
    numbers = spark.range(0, tasks, 1, tasks)
    rows = numbers.mapInArrow(partial(_run_task, write=write), WRITTEN).collect()
    return [WrittenFile(row.uri, row.partition, row.rows, row.report) for row in rows]


def _run_task(batches: Iterable[pa.RecordBatch], write: Write) -> Iterator[pa.RecordBatch]:
    for number in numbers_of_task(batches):
        if files := list(write(number)):
            yield pa.RecordBatch.from_pylist([file._asdict() for file in files], _written_schema())


def _written_schema() -> pa.Schema:
    return pa.schema([("uri", pa.string()), ("partition", pa.int32()), ("rows", pa.int64()), ("report", pa.string())])


def data_files(jvm: Any, table: Any, partitions: Sequence[Row], written: Sequence[WrittenFile]) -> list[Any]:
    """Written files as Iceberg's data files, with their partitions and the metrics of their footers."""
    keys = [partition_key(jvm, table, values) for values in partitions]
    return [data_file(jvm, table, file.uri, keys[file.partition]) for file in written]
