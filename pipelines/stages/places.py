"""Where in its file a row was: lines counted through the blocks that different tasks read."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

BLOCK = ("source_file", "source_block")


def line_numbers(raw: DataFrame) -> DataFrame:
    """For each block of each file the row number of its first line, and how many lines the blocks before it hold."""
    blocks = raw.groupBy(*BLOCK).agg(F.min("source_row").alias("_first"), F.max("source_row").alias("_last"))
    before = Window.partitionBy("source_file").orderBy("source_block").rowsBetween(Window.unboundedPreceding, -1)
    lines = F.coalesce(F.sum(F.col("_last") - F.col("_first") + 1).over(before), F.lit(0))
    return blocks.select(*(F.col(name).alias(f"_{name}") for name in BLOCK), "_first", lines.alias("_before"))


def with_lines(rows: DataFrame, numbers: DataFrame) -> DataFrame:
    """Rows with `source_line` in the place of block and row: the line in its file, the first row's being 1; null without."""
    same = [F.col(name) == F.col(f"_{name}") for name in BLOCK]
    line = F.col("_before") + F.col("source_row") - F.col("_first") + 1
    found = rows.join(numbers, same, "left")
    others = [name for name in rows.columns if name not in ("source_block", "source_row")]
    return found.select(*others, line.alias("source_line"))
