"""Keys that rows of several intervals have, as after a corrected event time: of these rows one stays in a window."""

from __future__ import annotations

from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipelines.expressions import all_of, col, cols
from schemas.contract import Table
from schemas.names import internal

KEY, RANK, HASH, FIRST, COUNTED = map(internal, ("key", "place", "hash", "first", "counted"))
INTERVAL = "interval_from"


class Losers(NamedTuple):
    """The rows that go, by key and interval (None without any); how many are counted, and how many equal the row that stays."""

    rows: DataFrame | None = None
    counted: int = 0
    repeated: int = 0


def losers_of(rows: DataFrame, contract: Table, counted: Column) -> Losers:
    """Of clean rows of several intervals, in each of which a key is there once: those that lose against another of their key.

    The greatest by `latest_by` stays, ties falling to a hash of all columns, then to the newer interval. Where the event time
    is part of the key, and so decides the interval, no key is in two. Of the losers those that are `counted` are counted.
    """
    if not contract.key or contract.event_time in contract.key:
        return Losers()
    hashed = rows.withColumn(KEY, F.xxhash64(*cols(contract.key)))
    shared = hashed.groupBy(KEY).agg(F.count("*").alias("rows")).where(F.col("rows") > 1).select(KEY)
    values = cols(name for name in contract.column_names if name in rows.columns)
    candidates = hashed.join(shared, KEY, "left_semi").withColumn(HASH, F.xxhash64(*values))
    order = [*(col(name).desc_nulls_last() for name in contract.latest_by), F.col(HASH).desc(), F.col(INTERVAL).desc()]
    of_key = Window.partitionBy(*cols(contract.key)).orderBy(*order)
    ranked = candidates.withColumns({RANK: F.row_number().over(of_key), FIRST: F.first(HASH).over(of_key)})
    is_copy, losing_rows = F.col(HASH) == F.col(FIRST), ranked.where(F.col(RANK) > 1)
    losers = losing_rows.select(*cols(contract.key), INTERVAL, counted.alias(COUNTED), (counted & is_copy).alias(FIRST))
    losers = losers.localCheckpoint()
    sums = losers.agg(F.count("*").alias("rows"), F.count_if(COUNTED).alias("counted"), F.count_if(FIRST).alias("repeated"))
    counts = sums.collect()[0]
    return Losers(losers.drop(COUNTED, FIRST), counts["counted"], counts["repeated"]) if counts["rows"] else Losers()


def without_losers(rows: DataFrame, losers: DataFrame, contract: Table) -> DataFrame:
    """The rows but for the losers, which `losers_of` gives."""
    names = (*contract.key, INTERVAL)
    renamed = losers.select(*(col(name).alias(internal(f"lost_{number}")) for number, name in enumerate(names)))
    same = all_of([_equal(name, number) for number, name in enumerate(names)])
    return rows.join(F.broadcast(renamed), same, "left_anti")


def _equal(name: str, number: int) -> Column:
    return col(name).eqNullSafe(F.col(internal(f"lost_{number}")))
