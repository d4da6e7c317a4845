"""The order in which a source's rows landed, as text that sorts so."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

DIGITS = 20  # of any bigint


def landing_order(period: Column) -> Column:
    """A landed row's order: by the start of its period, by the name of its file, then by its place there.

    It is the same whether periods land one by one, side by side or as one interval, and whenever one of them lands again.
    """
    numbers = (F.lpad(F.col(name).cast("string"), DIGITS, "0") for name in ("source_block", "source_row"))
    return F.concat_ws(" ", F.date_format(period, "yyyy-MM-dd HH:mm:ss"), "source_file", *numbers)
