"""Files as sources: CSV text landed as it was received."""

from __future__ import annotations

import re

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from pipelines.errors import DataError, ExternalError
from schemas.contract import Table


def read_csv(spark: SparkSession, path: str, contract: Table) -> DataFrame:
    """A CSV file's rows as text: the contract's columns, the file, and the whole line where its fields do not fit.

    The header may order the columns as it likes, the same in each file. Raises ExternalError when there is no such file,
    DataError when it is empty or its header lacks or adds columns; a file whose header is not the first one's fails the
    job that reads it, as `other_header` tells.
    """
    header = _header(spark, path, contract)
    fields = [StructField(name, StringType()) for name in header]
    schema = StructType([*fields, StructField("broken_line", StringType())])
    options: dict[str, bool | str] = {
        "header": True,
        "mode": "PERMISSIVE",
        "enforceSchema": False,  # every file's header is held against the first one's
        "columnNameOfCorruptRecord": "broken_line",
        "escape": '"',
    }
    rows = spark.read.options(**options).schema(schema).csv(path)
    return rows.select(*contract.column_names, F.col("_metadata.file_path").alias("source_file"), "broken_line")


def other_header(error: Exception) -> str | None:
    """What Spark said, when a job failed because one file's header is not the first one's; None for any other failure."""
    found = re.search(r"CSV header does not conform to the schema\..*?CSV file: \S+", str(error), re.DOTALL)
    return " ".join(found[0].split()) if found else None


def version(spark: SparkSession, path: str) -> str:
    """What identifies the files at a path or pattern without reading them: each one's name, size in bytes, time of change.

    Hadoop's file systems answer, so any path that Spark reads has a version; one that matches nothing has an empty one.
    """
    pattern = spark._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
    system = pattern.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    found = list(system.globStatus(pattern) or ())
    for folder in [status for status in found if status.isDirectory()]:
        found.remove(folder)
        found += system.listStatus(folder.getPath())
    return ";".join(sorted(f"{s.getPath()}:{s.getLen()}:{s.getModificationTime()}" for s in found))


def _header(spark: SparkSession, path: str, contract: Table) -> list[str]:
    try:
        lines = spark.read.text(path).limit(1).collect()
    except AnalysisException as error:
        raise ExternalError(
            f"source {contract.name}: no file at {path}. Mend sources.{contract.name}.path, or put the file there "
            f"(`make data` extracts the example's)."
        ) from error
    if not lines:
        raise DataError(f"source {contract.name}: {path} is empty; expected a header line and rows.")
    header = [name.strip().strip('"') for name in lines[0].value.lstrip("\ufeff").split(",")]
    missing = [name for name in contract.column_names if name not in header]
    unknown = [name for name in header if name not in contract.column_names]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if missing or unknown or repeated:
        raise DataError(
            f"source {contract.name}: the header of {path} does not fit its contract: missing {_listed(missing)}, unknown "
            f"{_listed(unknown)}, repeated {_listed(repeated)}; expected {', '.join(contract.column_names)}. Mend the "
            f"file, or the contract's columns."
        )
    return header


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
