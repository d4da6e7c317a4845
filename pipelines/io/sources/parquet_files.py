"""Parquet files as a source, every value landed as text that reads back as the same value."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from pipelines.errors import DataError
from pipelines.expressions import col, union_of
from pipelines.io.sources.base import as_text, received
from pipelines.io.sources.file_names import file_path, reader
from pipelines.io.sources.files import FileSource
from pipelines.io.sources.folders import FolderColumn, folder_columns, folder_value
from pipelines.io.sources.parquet_schemas import FileGroup, as_stored_text, group_files, read_schemas, spark_schema
from pipelines.io.sources.valid_text import not_utf8
from schemas.contract import Table


class ParquetFiles(FileSource):
    """Parquet files, which may differ in their columns and in the type of one: what lands is text.

    Times land to the microsecond. A column of the contract that no file has may be in the names of folders (`day=2013-01-01`).
    """

    kind: Literal["parquet"]

    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The files' rows; raises DataError when a footer can't be read or holds a type that Spark does not read."""
        schemas = read_schemas(spark, files, contract.name)
        received_names = list(dict.fromkeys(column.name for schema in schemas for column in schema))
        self._check_case(spark, contract, received_names)
        names = dict(zip(received_names, self.renamed(received_names, contract), strict=True))
        by_folders: dict[tuple[FolderColumn, ...], list[int]] = defaultdict(list)
        for number, file in enumerate(files):
            by_folders[folder_columns(file, contract, names.values(), self.rename)].append(number)
        for folders, numbers in by_folders.items():
            fields = [*names.values(), *(column.name for column in folders)]
            self.check_fields(files[numbers[0]] if folders else self.path, fields, contract)
        return union_of(
            [
                self._rows(spark, contract, group, names, folders)
                for folders, numbers in by_folders.items()
                for group in group_files([files[number] for number in numbers], [schemas[number] for number in numbers])
            ]
        )

    def _rows(
        self, spark: SparkSession, contract: Table, group: FileGroup, names: dict[str, str], folders: tuple[FolderColumn, ...]
    ) -> DataFrame:
        schema = spark_schema(spark, group, contract.name)
        rows = reader(spark, group.files).schema(schema).parquet(*group.files)
        metadata = rows.metadataColumn("_metadata")  # also where a column of the files has that name
        path = file_path(metadata)
        texts: dict[str, Column] = {names[field.name]: as_text(field) for field in schema}
        for name, column in group.columns.items():
            if text := as_stored_text(column):
                texts[names[name]] = text(col(name))
        strings = {names[field.name]: col(field.name) for field in schema if isinstance(field.dataType, StringType)}
        broken = not_utf8({name: text for name, text in strings.items() if name in contract.column_names})
        null = F.lit(None).cast("string")
        unknown = [
            part
            for name in names.values()
            if name not in contract.column_names
            for part in (F.lit(name), texts.get(name, null))
        ]
        return received(
            rows,
            contract,
            {**{column.name: folder_value(column, path) for column in folders}, **texts},
            extra=F.create_map(*unknown) if self.drift == "add" and unknown else None,
            location=path,
            block=F.lit(0),
            row=metadata.getField("row_index"),
            broken=broken.line,
            why=broken.why,
        )

    def _check_case(self, spark: SparkSession, contract: Table, names: list[str]) -> None:
        lower = [name.lower() for name in names]
        alike = [name for name in names if lower.count(name.lower()) > 1]
        if alike and spark.conf.get("spark.sql.caseSensitive") != "true":
            raise DataError(
                f"source {contract.name}: columns {', '.join(alike)} of {self.path} differ in case alone, and Spark takes them "
                f"for one. Rename all but one before the files are written."
            )
