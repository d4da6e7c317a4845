"""Where in its file a row was: lines counted through the blocks that different tasks read."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.names import internal

BLOCK = ("source_file", "source_block")
FIRST, LAST, BEFORE = map(internal, ("first", "last", "before"))


def line_numbers(raw: DataFrame, apart: Sequence[str] = ()) -> DataFrame:
    """For each block of each file the row number of its first line, and how many lines the blocks before it hold.

    A file that is there more than once, in rows that differ in a column of `apart`, is as many files.
    """
    block = (*apart, *BLOCK)
    blocks = raw.groupBy(*block).agg(F.min("source_row").alias(FIRST), F.max("source_row").alias(LAST))
    of_file = Window.partitionBy(*apart, "source_file").orderBy("source_block")
    before = of_file.rowsBetween(Window.unboundedPreceding, -1)
    lines = F.coalesce(F.sum(F.col(LAST) - F.col(FIRST) + 1).over(before), F.lit(0))
    return blocks.select(*(F.col(name).alias(internal(name)) for name in block), FIRST, lines.alias(BEFORE))


def with_lines(rows: DataFrame, numbers: DataFrame, apart: Sequence[str] = ()) -> DataFrame:
    """Rows with `source_line` in the place of block and row: the line in its file, the first row's being 1; null without."""
    same = [F.col(name) == F.col(internal(name)) for name in (*apart, *BLOCK)]
    line = F.col(BEFORE) + F.col("source_row") - F.col(FIRST) + 1
    found = rows.join(numbers, same, "left")
    others = [name for name in rows.columns if name not in ("source_block", "source_row")]
    return found.select(*others, line.alias("source_line"))
