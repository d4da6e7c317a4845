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
from pyspark.errors import PySparkException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, DataType, IntegerType, LongType, StructField, StructType

from pipelines.errors import DataError
from pipelines.io.java_errors import java_reason
from pipelines.io.sources.base import INSTANT
from pipelines.io.sources.file_names import reader, settings_for

FILES_AT_ONCE = 8
SPARK_ERRORS = (PySparkException, Py4JJavaError)
ANNOTATION = re.compile(r"\((TIMESTAMP|TIME)\((MILLIS|MICROS|NANOS),(true|false)\)\)")
UNREADABLE = re.compile(r"\((TIME\(\w+,\w+\)|TIMESTAMP\(NANOS,\w+\)|FLOAT16|UUID|DECIMAL\((?:39|[4-9]\d|\d{3,}),\d+\))\)")
# As bare numbers or bytes, a column whose type Spark refuses.
PLAIN = {"int32": IntegerType(), "int64": LongType(), "fixed_len_byte_array(16)": BinaryType()}
UUID = "(UUID)"


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
        """The type of the numbers or bytes that are stored, where Spark does not read the type itself."""
        kind = self.type.split(" ", 1)[0]
        return PLAIN.get(kind) if "{" not in self.type and UNREADABLE.search(self.type) else None


Schema = tuple[ParquetColumn, ...]


class FileGroup(NamedTuple):
    """Files whose columns, where they share them, are of one type, and that type; for each column a file that has it.

    `nulls` are columns without values, which no file of the group has with values: Spark would refuse the type of one of both.
    """

    files: list[str]
    columns: dict[str, ParquetColumn]
    examples: dict[str, str]
    nulls: set[str]

    def takes(self, schema: Schema) -> bool:
        """Whether a file of that schema is of the group's types."""
        if any(column.is_null and column.name in self.columns for column in schema):
            return False
        typed = [column for column in schema if not column.is_null]
        return all(self.columns.get(column.name, column) == column and column.name not in self.nulls for column in typed)

    def add(self, file: str, schema: Schema) -> None:
        """Take over the columns of a file, the first one of its schema."""
        self.nulls.update(column.name for column in schema if column.is_null)
        for column in schema:
            if not column.is_null and column.name not in self.columns:
                self.columns[column.name], self.examples[column.name] = column, file


def read_schemas(spark: SparkSession, files: list[str], source: str) -> list[Schema]:
    """Each file's columns; raises DataError when a file is no Parquet."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(partial(_schema, spark, source), files))


def group_files(files: Iterable[str], schemas: Iterable[Schema]) -> list[FileGroup]:
    """The files in groups, as few as their types allow."""
    groups: list[FileGroup] = []
    group_by_schema: dict[Schema, FileGroup] = {}
    for file, schema in zip(files, schemas, strict=True):
        group = group_by_schema.get(schema) or next((group for group in groups if group.takes(schema)), None)
        if group is None:
            group = FileGroup([], {}, {}, set())
            groups.append(group)
        if schema not in group_by_schema:
            group_by_schema[schema] = group
            group.add(file, schema)
        group.files.append(file)
    return groups


def spark_schema(spark: SparkSession, group: FileGroup, source: str) -> StructType:
    """The group's columns in Spark's types; those that Spark does not read in the type of what is stored.

    Raises DataError when Spark has no type for a column.
    """
    stored = {name: column.stored for name, column in group.columns.items() if column.stored}
    fields: dict[str, DataType] = {}
    for example in dict.fromkeys(group.examples.values()):
        schema = _schema_of(spark, example, stored, source)
        fields |= {field.name: field.dataType for field in schema if group.examples.get(field.name) == example}
    return StructType([StructField(name, stored.get(name) or fields[name]) for name in group.columns])


def _schema_of(spark: SparkSession, file: str, stored: Collection[str], source: str) -> StructType:
    try:
        return _converted(spark, file, stored) if stored else reader(spark, [file]).parquet(file).schema
    except SPARK_ERRORS as error:
        for name, type_ in _schema(spark, source, file):
            others = {column.name for column in _schema(spark, source, file)} - {name}
            try:
                _converted(spark, file, {*others, *stored})
            except SPARK_ERRORS:
                raise _no_type(source, name, file, type_) from error
        raise


def _no_type(source: str, name: str, file: str, type_: str) -> DataError:
    return DataError(
        f"source {source}: column {name} of {file} holds {type_}; expected a type that Spark reads, or a UUID or a time that "
        f"is no part of a list or struct. Convert the column before it is written."
    )


def as_stored_text(column: ParquetColumn) -> Callable[[Column], Column] | None:
    """What makes text of the numbers or bytes that a column stores, times to the microsecond; None for one that Spark reads."""
    if column.stored and UUID in column.type:
        return _uuid
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
    names = [column.name for column in schema]
    if problem := "no columns" if not schema else _repeated(names):
        raise DataError(f"source {source}: {file} has {problem}; expected columns, each name once. Fix or remove the file.")
    for column in schema:
        if UNREADABLE.search(column.type) and column.stored is None:
            raise _no_type(source, column.name, file, UNREADABLE.findall(column.type)[0])
    return schema


def _repeated(names: list[str]) -> str:
    repeated = dict.fromkeys(name for name in names if names.count(name) > 1)
    return f"the column {', '.join(repeated)} more than once" if repeated else ""


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


def _uuid(content: Column) -> Column:
    return F.regexp_replace(F.lower(F.hex(content)), "^(.{8})(.{4})(.{4})(.{4})", "$1-$2-$3-$4-")


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
