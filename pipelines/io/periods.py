"""Rows of several periods or intervals that are read at once: each is given its own by the file that it is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from schemas.names import internal

FILE, PERIOD = "source_file", internal("period_from")
PATH = internal("path")


def frame_of(spark: SparkSession, rows: Sequence[Mapping[str, object]]) -> DataFrame:
    """A few rows of the driver's, all with the same columns, as a frame; there must be one row. What is none is a time."""
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    times = {name: pa.types.is_timestamp(column.type) or pa.types.is_null(column.type) for name, column in columns.items()}
    zoned = {name: column.cast(pa.timestamp("us", "UTC")) if times[name] else column for name, column in columns.items()}
    return spark.createDataFrame(pa.table(zoned))


def by_file(rows: DataFrame, values: Sequence[Mapping[str, object]]) -> DataFrame:
    """Rows with the values that the driver holds for their files; a row comes once for each time that its file is there.

    Without values no row is expected, and the columns are those of times that are not known.
    """
    if not values:
        unknown = F.lit(None).cast("timestamp")
        return rows.withColumns({PERIOD: unknown, "interval_from": unknown, "interval_to": unknown})
    named = frame_of(rows.sparkSession, values)
    keyed = named.withColumn(PATH, _plain(F.col(FILE))).drop(FILE)
    # A row without its file's values is one too many to be lost: its interval is missing, and no table takes it.
    return rows.withColumn(PATH, _plain(F.col(FILE))).join(F.broadcast(keyed), PATH, "left").drop(PATH)


def _plain(path: Column) -> Column:
    """A path without what is written in several ways: the slashes after a local file's scheme."""
    return F.regexp_replace(path, "^file:/+", "/")
