"""Rows whose columns are profiled as a job profiles them: written to files, read by tasks."""

from collections.abc import Iterable
from tempfile import TemporaryDirectory

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.features.arrays import ArrowRows
from pipelines.features.kinds.statistics import Profiles, Request, Words
from pipelines.features.profiles import profile
from pipelines.features.sketches import ProfileRequest
from pipelines.io.row_groups import files_of

GROUP = "__group"


def by_group(rows: ArrowRows) -> Words:
    """The groups that `profiled` has written."""
    return rows.words(GROUP)


def profiled(rows: DataFrame, requests: Iterable[Request], by: Column | str, **thinned: int) -> dict[str, Profiles]:
    """The profiles of each group of rows."""
    request = ProfileRequest(tuple(requests), by_group, (GROUP,), **thinned)
    with TemporaryDirectory() as folder:
        rows.withColumn(GROUP, F.col(by) if isinstance(by, str) else by).write.parquet(f"{folder}/rows")
        return profile(rows.sparkSession, files_of(f"{folder}/rows"), [request])[0]
