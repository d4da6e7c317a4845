"""A few rows that the driver holds, read from Iceberg tables and written to them by Arrow.

A job of Spark's that reads or writes a handful of rows takes a quarter of a second; this takes some hundredths. What is written
is an ordinary data file: with the table's field ids, its metrics and its partition.
"""

from __future__ import annotations

import operator
import posixpath
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial, reduce
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.expressions import fold
from pipelines.io.filesystem import locate
from pipelines.io.table_files import planned_tasks
from schemas.contract import Table

Row: TypeAlias = Mapping[str, object]
Where: TypeAlias = Mapping[str, object]
"""Columns, each with the value that a row must have in it, a `Bound` of it, or a tuple of values of which it must have one.

The column `interval_from` may have `Spans` instead, which the row's interval is held against.
"""

BOUNDS = {"<": (operator.lt, "lessThan"), "<=": (operator.le, "lessThanOrEqual"), ">": (operator.gt, "greaterThan"),
          ">=": (operator.ge, "greaterThanOrEqual")}  # fmt: skip

FILES_AT_ONCE = 8
COUNTED_FILES = 500  # of more, Spark counts sooner than Python asks for each
FIELD_ID = b"PARQUET:field_id"  # by which Iceberg finds a column in a file, whatever it is called
ARROW_TYPES = {
    "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
    "string": pa.string(), "date": pa.date32(), "timestamptz": pa.timestamp("us", "UTC"),
}  # fmt: skip


class Bound(NamedTuple):
    """Selects the rows whose value is less or greater than another, as the operator says; a missing value is neither."""

    operator: Literal["<", "<=", ">", ">="]
    value: Any

    def holds(self, value: Any) -> bool:
        """Whether a value is of the selection."""
        return value is not None and bool(BOUNDS[self.operator][0](value, self.value))


class Spans(NamedTuple):
    """Selects the rows whose interval lies within one of several spans of time."""

    spans: tuple[tuple[datetime, datetime], ...]

    def holds(self, row: Row) -> bool:
        """Whether a row is of the selection."""
        start, end = cast(datetime, row["interval_from"]), cast(datetime, row["interval_to"])
        return any(first <= start and end <= last for first, last in self.spans)

    def parts(self) -> list[Where]:
        """A selection for each span."""
        return [{"interval_from": Bound(">=", first), "interval_to": Bound("<=", last)} for first, last in self.spans]


def arrow_schema(schema: Mapping[str, Any]) -> pa.Schema:
    """An Iceberg schema (as its JSON has it) for Arrow, with the ids of its fields."""
    return pa.schema([_field(f["name"], f["id"], f["type"], required=f["required"]) for f in schema["fields"]])


def _field(name: str, number: int, kind: Any, *, required: bool) -> pa.Field:
    return pa.field(name, _type(kind), nullable=not required, metadata={FIELD_ID: str(number)})


def _type(kind: Any) -> pa.DataType:
    if isinstance(kind, str):
        return ARROW_TYPES[kind]
    if kind["type"] == "list":
        return pa.list_(_field("element", kind["element-id"], kind["element"], required=kind["element-required"]))
    return pa.map_(
        _field("key", kind["key-id"], kind["key"], required=True),
        _field("value", kind["value-id"], kind["value"], required=kind["value-required"]),
    )


def expression(jvm: Any, where: Where) -> Any:
    """What Iceberg calls an expression, of a selection."""
    expressions = jvm.org.apache.iceberg.expressions.Expressions
    both, either = getattr(expressions, "and"), getattr(expressions, "or")

    def column_expression(column: str, condition: object) -> Any:
        if isinstance(condition, Spans):
            return fold(either, [expression(jvm, part) for part in condition.parts()])
        if isinstance(condition, Bound):
            return getattr(expressions, BOUNDS[condition.operator][1])(column, _literal(condition.value))
        if isinstance(condition, tuple):
            return reduce(either, (column_expression(column, value) for value in condition), expressions.alwaysFalse())
        return expressions.equal(column, _literal(condition))

    return reduce(both, (column_expression(*item) for item in where.items()), expressions.alwaysTrue())


def _literal(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def matches(row: Row, where: Where) -> bool:
    """Whether a row is of a selection."""
    return all(
        condition.holds(row) if isinstance(condition, Spans) else _matches(row[name], condition)
        for name, condition in where.items()
    )


def _matches(value: object, condition: object) -> bool:
    if isinstance(condition, Bound):
        return condition.holds(value)
    return value in condition if isinstance(condition, tuple) else value == condition


def read_rows(uris: Iterable[str], contract: Table, schema: pa.Schema, where: Where) -> list[dict[str, Any]]:
    """The selected rows of data files, with the contract's columns; one that a file lacks, since it came later, is null.

    A column is that of its field id, whatever it was called when the file was written.

    Times are in UTC, with their zone. `schema` is the table's, as `arrow_schema` gives it.
    """
    # Several at once: of many intervals each has files of its own, which an object store takes long to open.
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        parts = pool.map(partial(_read_file, contract, schema), uris)
        return [row for part in parts for row in part if matches(row, where)]


def _read_file(contract: Table, schema: pa.Schema, uri: str) -> list[dict[str, Any]]:
    filesystem, path = locate(uri)
    with filesystem.open_input_file(path) as file:
        stored = pq.ParquetFile(file).read(use_threads=False)
    by_id = {field.metadata[FIELD_ID]: field.name for field in stored.schema}
    fields = [schema.field(name) for name in contract.column_names if name in schema.names]
    present = [field for field in fields if field.metadata[FIELD_ID] in by_id]
    columns = [stored.column(by_id[field.metadata[FIELD_ID]]).cast(field.type) for field in present]
    missing = dict.fromkeys(contract.column_names)
    rows = pa.Table.from_arrays(columns, names=[field.name for field in present]).to_pylist()
    return [{**missing, **row} for row in rows]


def count_rows(jvm: Any, table: Any, where: Where) -> int | None:
    """How many rows of a table (Java's) are selected, by its metadata; None where a file has others too, or deleted ones."""
    rows = 0
    with closing(planned_tasks(table.newScan().filter(expression(jvm, where)))) as tasks:
        for task in tasks:
            if str(task.residual()) != "true" or not task.deletes().isEmpty():
                return None
            rows += int(task.file().recordCount())
    return rows


def write_rows(jvm: Any, table: Any, schema: pa.Schema, contract: Table, rows: Sequence[Row]) -> list[Any]:
    """Write rows as data files of a table (Java's), one a partition, which are to be committed; raises KeyError for a row that
    lacks a column which the contract wants.
    """
    stored = [{c.name: row.get(c.name) if c.nullable else row[c.name] for c in contract.columns} for row in rows]
    names = [name for name in contract.partition_by if name in schema.names]

    def partition(row: Row) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in names)

    files = []
    for _, part in groupby(sorted(stored, key=partition), key=partition):
        files.append(_write_file(jvm, table, schema, list(part), names))
    return files


def partition_key(jvm: Any, table: Any, values: Row) -> Any:
    """The partition of a table (Java's) in which the columns that it is partitioned by have these values."""
    iceberg, schema, spec = jvm.org.apache.iceberg, table.schema(), table.spec()
    key, record = iceberg.PartitionKey(spec, schema), iceberg.data.GenericRecord.create(schema)
    for column, value in values.items():
        record.setField(column, _java(jvm, value))
    key.partition(iceberg.data.InternalRecordWrapper(schema.asStruct()).wrap(record))
    return key


def partition_folder(table: Any, key: Any) -> str:
    """The URI of the folder in which files of a partition lie."""
    # Of a table without partitions the path would have an empty part, which object stores take for a name of its own.
    spec = table.spec()
    name = "any.parquet"
    position = (spec, key, name) if spec.isPartitioned() else (name,)
    return posixpath.dirname(str(table.locationProvider().newDataLocation(*position)))


def data_file(jvm: Any, table: Any, uri: str, key: Any) -> Any:
    """A Parquet file that lies at a URI as a data file of a partition of a table, with its metrics."""
    iceberg = jvm.org.apache.iceberg
    stored = table.io().newInputFile(uri)
    metrics = iceberg.parquet.ParquetUtil.fileMetrics(stored, iceberg.MetricsConfig.forTable(table))
    file = iceberg.DataFiles.builder(table.spec()).withInputFile(stored).withFormat("parquet").withMetrics(metrics)
    return (file.withPartition(key) if table.spec().isPartitioned() else file).build()


def _write_file(jvm: Any, table: Any, schema: pa.Schema, rows: Sequence[Row], partition_by: Sequence[str]) -> Any:
    key = partition_key(jvm, table, {column: rows[0][column] for column in partition_by})
    uri = f"{partition_folder(table, key)}/00000-0-{uuid.uuid4()}.parquet"
    filesystem, path = locate(uri)
    filesystem.create_dir(posixpath.dirname(path), recursive=True)
    with filesystem.open_output_stream(path) as file:
        pq.write_table(pa.Table.from_pylist(list(rows), schema), file, compression="zstd")
    return data_file(jvm, table, uri, key)


def _java(jvm: Any, value: object) -> Any:
    return jvm.java.time.OffsetDateTime.parse(value.isoformat()) if isinstance(value, datetime) else value
