"""The line of a row in its file, counted through the blocks that different tasks read."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.names import internal

BLOCK = ("source_file", "source_block")
FIRST, LAST, BEFORE = map(internal, ("first", "last", "before"))


def line_numbers(raw: DataFrame, interval_columns: Sequence[str] = ()) -> DataFrame:
    """For each block of each file the row number of its first line, and how many lines the blocks before it hold.

    A file whose rows are in several intervals, which differ in an interval column, counts once for each.
    """
    block = (*interval_columns, *BLOCK)
    blocks = raw.groupBy(*block).agg(F.min("source_row").alias(FIRST), F.max("source_row").alias(LAST))
    of_file = Window.partitionBy(*interval_columns, "source_file").orderBy("source_block")
    before = of_file.rowsBetween(Window.unboundedPreceding, -1)
    lines = F.coalesce(F.sum(F.col(LAST) - F.col(FIRST) + 1).over(before), F.lit(0))
    return blocks.select(*(F.col(name).alias(internal(name)) for name in block), FIRST, lines.alias(BEFORE))


def with_lines(rows: DataFrame, numbers: DataFrame, interval_columns: Sequence[str] = ()) -> DataFrame:
    """Rows with `source_line` in the place of block and row: the line in its file, the first row's being 1; null without."""
    conditions = [F.col(name) == F.col(internal(name)) for name in (*interval_columns, *BLOCK)]
    line = F.col(BEFORE) + F.col("source_row") - F.col(FIRST) + 1
    joined = rows.join(numbers, conditions, "left")
    others = [name for name in rows.columns if name not in ("source_block", "source_row")]
    return joined.select(*others, line.alias("source_line"))
