"""Rows of a series, each with the values before it and, as its label, those after it. No gap is bridged."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipelines.config import Windows
from pipelines.expressions import all_of, col, cols
from pipelines.features.kinds.sequence import Sequence, channel_column
from schemas.names import internal

PHASE, AT, AHEAD = internal("phase"), internal("at"), internal("ahead")


def windowed(rows: DataFrame, windows: Windows, sequences: Mapping[str, Sequence]) -> DataFrame:
    """Add for each column of each sequence an array `<sequence>_<column>` of its last values, oldest first; and with a label
    column, `label`, its values of the horizon, the next one first.

    An array is null where a row of it is missing, or there twice. A label is null where it or the row's own window is not
    whole, or a value of the label is missing, and in all rows but one of each stride.
    """
    step = round(windows.step_minutes * 60)
    seconds = F.unix_seconds(col(windows.at))
    phased = rows.withColumn(PHASE, F.pmod(seconds, F.lit(step)))
    # Rows of one phase are whole steps apart: as many as fit into a range leave no gap.
    series = Window.partitionBy(*cols(windows.by), F.col(PHASE)).orderBy(seconds)
    aggregates: dict[str, Column] = {}
    for name, sequence in sequences.items():
        back = series.rangeBetween(-(sequence.length - 1) * step, 0)
        aggregates[_rows_of(name)] = F.collect_list(F.struct(seconds.alias(AT), *cols(sequence.of))).over(back)
    if windows.label:
        ahead = series.rangeBetween(step, windows.horizon * step)
        aggregates[AHEAD] = F.collect_list(F.struct(seconds.alias(AT), col(windows.label).alias("value"))).over(ahead)
    collected = phased.withColumns(aggregates)
    is_whole = {name: _whole(_rows_of(name), sequence.length) for name, sequence in sequences.items()}
    arrays = {
        channel_column(name, column): F.when(is_whole[name], col(_rows_of(name)).getField(column).cast("array<double>"))
        for name, sequence in sequences.items()
        for column in sequence.of
    }
    is_stride_start = F.pmod(F.floor(seconds / F.lit(step)), F.lit(windows.stride)) == 0
    conditions = [is_stride_start, *is_whole.values()]
    if windows.label:
        values = F.col(AHEAD).getField("value").cast("array<float>")
        conditions += [_whole(AHEAD, windows.horizon), ~F.exists(values, lambda value: value.isNull())]
    else:
        values = F.col("label")
    return collected.withColumns({**arrays, "label": F.when(all_of(conditions), values)}).drop(PHASE, *aggregates)


def _rows_of(sequence: str) -> str:
    return internal(f"rows {sequence}")


def _whole(rows: str, steps: int) -> Column:
    """Whether an array of rows has each of so many steps once: a step that is there twice makes up for none."""
    return (F.size(col(rows)) == steps) & (F.size(F.array_distinct(col(rows).getField(AT))) == steps)
