"""Of rows with the same key one stays: the same one in each run, whatever the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipelines.expressions import all_of, col, cols
from schemas.contract import Table
from schemas.names import internal

CLEAN, QUARANTINED, REPEATED, DUPLICATE, FILTERED = "clean", "quarantined", "repeated", "duplicate", "filtered"
VERDICT, TIE, FINDINGS, KEY, SHARED = map(internal, ("verdict", "tie", "found", "key", "shared_key"))
REPEATS_UNIQUE = internal("repeats_unique")


def mark_duplicates(validated: DataFrame, contract: Table, interval_columns: Sequence[str] = ()) -> DataFrame:
    """Let one clean row of each key stay: the greatest by `latest_by`, ties falling to a hash of all columns.

    A loser that is the winner's copy is `repeated`, any other a `duplicate`. Without a key, rows that are equal in every
    column are one. Rows that share values which the contract says are unique are refused, all but the first of them. Rows
    of different intervals, which differ in an interval column, are not compared.
    """
    key = (*interval_columns, *(contract.key or (TIE, *contract.column_names)))
    order = [*(col(name).desc_nulls_last() for name in contract.latest_by), F.col(TIE).desc()]
    rank, previous = _rank_and_previous(key, order)
    loser_verdict = F.when(previous == F.col(TIE), REPEATED).otherwise(DUPLICATE)
    marked = validated.withColumn(VERDICT, F.when(_is_clean() & (rank > 1), loser_verdict).otherwise(F.col(VERDICT)))
    for columns in contract.unique:
        marked = _mark_shared(marked, columns, order, interval_columns)
    return marked


def with_shared(checked: DataFrame, contract: Table, keys: DataFrame) -> DataFrame:
    """Add whether a row's key is among those that several rows have (hashes, as `shared_keys` gives them)."""
    marked = F.broadcast(keys.withColumn(SHARED, F.lit(True)))
    joined = checked.withColumn(KEY, F.xxhash64(*cols(contract.key))).join(marked, KEY, "left").drop(KEY)
    return joined.withColumn(SHARED, F.coalesce(SHARED, F.lit(False)))


def _mark_shared(
    validated: DataFrame, columns: tuple[str, ...], order: list[Column], interval_columns: Sequence[str]
) -> DataFrame:
    rank, _ = _rank_and_previous((*interval_columns, *columns), order)
    name = f"unique: {', '.join(columns)}"
    values = F.concat_ws(", ", *(value.cast("string") for value in cols(columns)))
    message = F.concat(F.lit(f"{name}: expected no other row with "), values)
    finding = F.struct(F.lit(name).alias("name"), F.lit("quarantine").alias("severity"), message.alias("message"))
    shared = all_of([_is_clean(), rank > 1, *(value.isNotNull() for value in cols(columns))])
    marked = validated.withColumn(REPEATS_UNIQUE, shared)
    return marked.withColumns(
        {
            VERDICT: F.when(F.col(REPEATS_UNIQUE), QUARANTINED).otherwise(F.col(VERDICT)),
            FINDINGS: F.when(F.col(REPEATS_UNIQUE), F.array_append(FINDINGS, finding)).otherwise(F.col(FINDINGS)),
        }
    ).drop(REPEATS_UNIQUE)


def _rank_and_previous(key: tuple[str, ...], order: list[Column]) -> tuple[Column, Column]:
    """A row's rank among the clean rows of its key, and the hash of the row before it."""
    # Rows with another verdict have no key, and take no clean row's rank; a hash spreads them among tasks.
    keys = [F.when(_is_clean(), value) for value in cols(key)]
    window = Window.partitionBy(_is_clean(), *keys, F.when(~_is_clean(), F.col(TIE))).orderBy(*order)
    return F.row_number().over(window), F.lag(TIE).over(window)


def _is_clean() -> Column:
    return F.col(VERDICT) == CLEAN
