"""Landed rows as tests write them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from schemas.contract import Table

LANDED = (
    "extra map<string,string>, source_file string, source_block bigint, source_row bigint, broken_line string, "
    "broken_why string, event_at timestamp"
)


def landed(spark: SparkSession, contract: Table, *rows: tuple[str | None, ...] | str) -> DataFrame:
    """Rows as a source lands them: tuples of text in the contract's order, or a broken line; numbered from 0."""
    nothing = (None,) * len(contract.columns)
    full = [
        (*nothing, None, "file.csv", 0, number, row, "line: broken", None)
        if isinstance(row, str)
        else (*row, None, "file.csv", 0, number, None, None, None)
        for number, row in enumerate(rows)
    ]
    names = ", ".join(f"{name} string" for name in contract.column_names)
    return spark.createDataFrame(full, f"{names}, {LANDED}")
