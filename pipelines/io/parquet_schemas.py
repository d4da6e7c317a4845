"""What the footers of Parquet files say of their columns, and how each is read by Spark.

Spark refuses a whole file for the type of one column, and files whose types differ. pandas writes nanoseconds, times of day,
and a column without values as of the type null. Such columns are read as the numbers that are stored, and
files of one type together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, IntegerType, LongType, StructField, StructType

from pipelines.errors import DataError
from pipelines.io.file_names import reader, settings_for
from pipelines.io.java_errors import java_reason
from pipelines.io.source import INSTANT

FILES_AT_ONCE = 8
ANNOTATION = re.compile(r"\((TIMESTAMP|TIME)\((MILLIS|MICROS|NANOS),(true|false)\)\)")
UNREADABLE = re.compile(r"\((TIME\(\w+,\w+\)|TIMESTAMP\(NANOS,\w+\)|FLOAT16|DECIMAL\((?:39|[4-9]\d|\d{3,}),\d+\))\)")
# As a bare number, a column whose type Spark refuses.
PLAIN = {"int32": IntegerType(), "int64": LongType()}


class ParquetColumn(NamedTuple):
    """A column of a file: its name, and its type as the footer writes it, without whether values may be missing."""

    name: str
    type: str

    @property
    def is_null(self) -> bool:
        """Whether it has no values, whatever its type: what Arrow writes for its type null."""
        return self.type.endswith("(UNKNOWN)")

    @property
    def stored(self) -> DataType | None:
        """The type of the numbers that are stored, where Spark does not read the type itself."""
        kind = self.type.split(" ", 1)[0]
        return PLAIN.get(kind) if "{" not in self.type and UNREADABLE.search(self.type) else None


Schema = tuple[ParquetColumn, ...]


class FileGroup(NamedTuple):
    """Files whose columns, where they share them, are of one type, and that type."""

    files: list[str]
    columns: dict[str, ParquetColumn]
    examples: list[str]

    def takes(self, schema: Schema) -> bool:
        """Whether a file of that schema is of the group's types."""
        return all(column.name not in self.columns or self.columns[column.name] == column for column in schema)


def read_schemas(spark: SparkSession, files: list[str], source: str) -> list[Schema]:
    """Each file's columns; raises DataError when a file is no Parquet."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(partial(_schema, spark, source), files))


def group_files(files: Iterable[str], schemas: Iterable[Schema]) -> list[FileGroup]:
    """The files in groups, as few as their types allow."""
    groups: list[FileGroup] = []
    seen: dict[Schema, FileGroup] = {}
    for file, schema in zip(files, schemas, strict=True):
        typed = tuple(column for column in schema if not column.is_null)
        group = seen.get(typed) or next((group for group in groups if group.takes(typed)), None)
        if group is None:
            group = FileGroup([], {}, [])
            groups.append(group)
        if typed not in seen:
            seen[typed] = group
            group.columns.update({column.name: column for column in typed})
            group.examples.append(file)
        group.files.append(file)
    return groups


def spark_schema(spark: SparkSession, group: FileGroup) -> StructType:
    """The group's columns in Spark's types; those that Spark does not read in the type of what is stored."""
    stored = {name: column.stored for name, column in group.columns.items() if column.stored}
    fields: dict[str, DataType] = {}
    for example in group.examples:
        schema = _converted(spark, example, stored) if stored else reader(spark, [example]).parquet(example).schema
        fields |= {field.name: field.dataType for field in schema}
    return StructType([StructField(name, stored.get(name) or fields[name]) for name in group.columns])


def as_moment(column: ParquetColumn) -> Callable[[Column], Column] | None:
    """What makes text, to the microsecond, of the numbers that a time column stores; None for one that Spark reads."""
    annotation = ANNOTATION.search(column.type) if column.stored else None
    if annotation is None:
        return None
    kind, unit, in_utc = annotation.groups()
    if kind == "TIME":
        return partial(_time_of_day, unit=unit)
    return _instant if in_utc == "true" else _local_time


def _schema(spark: SparkSession, source: str, file: str) -> Schema:
    try:
        schema = tuple(_column(field) for field in _footer_fields(spark, file))
    except Py4JJavaError as error:
        raise DataError(
            f"source {source}: {file} can't be read as Parquet ({java_reason(error)}). Is it whole, and may this user read it? "
            f"Fix or remove the file."
        ) from error
    for column in schema:
        if UNREADABLE.search(column.type) and column.stored is None:
            raise DataError(
                f"source {source}: column {column.name} of {file} holds {UNREADABLE.findall(column.type)[0]}; expected a type "
                f"that Spark reads, or a time that is no part of a list or struct. Convert the column before it is written."
            )
    return schema


def _footer_fields(spark: SparkSession, file: str) -> Any:
    jvm: Any = spark._jvm
    no_rows = jvm.org.apache.parquet.format.converter.ParquetMetadataConverter.SKIP_ROW_GROUPS
    path, settings = jvm.org.apache.hadoop.fs.Path(file), settings_for(spark, [file])
    footer = jvm.org.apache.parquet.hadoop.ParquetFileReader.readFooter(settings, path, no_rows)
    return footer.getFileMetaData().getSchema().getFields()


def _column(field: Any) -> ParquetColumn:
    name, text = str(field.getName()), str(field.toString())
    kind = re.sub(r" = \d+(?=;|$)", "", text)  # a field's id says nothing of its type
    kind = kind if kind.startswith("repeated ") else kind.partition(" ")[2]
    return ParquetColumn(name, kind.replace(f" {name} ", " ", 1).removesuffix(f" {name}"))


def _converted(spark: SparkSession, file: str, without: Collection[str]) -> StructType:
    """What Spark takes a file's columns for, but for some that it would refuse."""
    jvm: Any = spark._jvm
    fields = jvm.java.util.ArrayList()
    for field in _footer_fields(spark, file):
        if field.getName() not in without:
            fields.add(field)
    converter = jvm.org.apache.spark.sql.execution.datasources.parquet.ParquetToSparkSchemaConverter
    settings = spark._jsparkSession.sessionState().conf()
    schema = converter(settings).convert(jvm.org.apache.parquet.schema.MessageType("columns", fields))
    return StructType.fromJson(json.loads(schema.json()))


def _time_of_day(number: Column, unit: str) -> Column:
    count = number.cast("bigint")
    micros = {"MILLIS": count * 1000, "MICROS": count, "NANOS": _micros(count)}[unit]
    return F.date_format(F.timestamp_micros(micros), "HH:mm:ss.SSSSSS")


def _micros(nanos: Column) -> Column:
    """Whole microseconds, those before 1970 rounded down as the others are."""
    return F.call_function("div", nanos, F.lit(1000)) - F.when(nanos % 1000 < 0, 1).otherwise(0)


def _instant(nanos: Column) -> Column:
    return F.date_format(F.timestamp_micros(_micros(nanos)), INSTANT)


def _local_time(nanos: Column) -> Column:
    return F.timestamp_micros(_micros(nanos)).cast("string")  # the session's zone is UTC
