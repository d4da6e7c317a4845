"""Parquet files as a source, every value landed as text that reads back as the same value."""

from __future__ import annotations

from typing import Literal

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.io.files import FileSource, exact, unreadable
from pipelines.io.source import as_text, received
from schemas.contract import Table


class ParquetFiles(FileSource):
    """Parquet files, which may differ in their columns but not in the type of one."""

    kind: Literal["parquet"]

    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The files' rows; raises DataError when a footer can't be read or two files' types do not go together."""
        try:
            reader = spark.read.options(recursiveFileLookup=True, mergeSchema=True)
            rows = reader.parquet(*(exact(file) for file in files))
        except (PySparkException, Py4JJavaError) as error:
            told = unreadable(error) or error
            raise DataError(f"source {contract.name}: {self.path} can't be read as Parquet: {told}") from error
        fields = self.renamed(rows.columns, contract)
        self.check_fields(self.path, fields, contract)
        texts = {name: as_text(field) for name, field in zip(fields, rows.schema, strict=True)}
        unknown = [part for name, text in texts.items() if name not in contract.column_names for part in (F.lit(name), text)]
        return received(
            rows,
            contract,
            texts,
            extra=F.create_map(*unknown) if self.drift == "add" and unknown else None,
            place=F.col("_metadata.file_path"),
            block=F.lit(0),
            row=F.col("_metadata.row_index"),
        )
