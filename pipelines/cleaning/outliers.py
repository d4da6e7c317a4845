"""Outliers: fences fitted on the interval's own values, and what becomes of what lies outside."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.checking import Fences
from pipelines.cleaning.parsing import received_text, value_of
from pipelines.expressions import col
from schemas.contract import Table

QUANTILE_ACCURACY = 10_000  # quantiles err by at most 1 / accuracy in rank


def fit_fences(raw: DataFrame, contract: Table) -> Fences:
    """The lower and upper fence of each column whose contract declares outliers, from one pass; none where no value is.

    Values that the column's own bounds refuse, and broken lines, have no part in it.
    """
    columns = [column for column in contract.columns if column.outliers]
    if not columns:
        return {}
    is_whole_line, quantiles = F.col("broken_line").isNull(), []
    for column in columns:
        value = value_of(received_text(column, contract), column)
        bounded = F.when(value.between(*_bounds(column.minimum, column.maximum)) & is_whole_line, value)
        assert column.outliers
        probabilities = [column.outliers.low, column.outliers.high]
        quantiles.append(F.percentile_approx(bounded, probabilities, QUANTILE_ACCURACY).alias(column.name))
    row = raw.agg(*quantiles).collect()[0].asDict()
    return {c.name: _fences(row[c.name], c.outliers.reach) for c in columns if row[c.name] and c.outliers}


def fenced(contract: Table, fences: Fences) -> dict[str, Column]:
    """What outliers change in a parsed row: clipped values, and a flag beside each column that declares one."""
    changed: dict[str, Column] = {}
    for column in contract.columns:
        if column.outliers is None:
            continue
        value = col(column.name)
        low, high = fences.get(column.name, (float("-inf"), float("inf")))
        if column.outliers.action == "clip":
            changed[column.name] = F.greatest(F.least(value, F.lit(high)), F.lit(low)).cast(column.type)
        if column.outliers.action == "flag":
            changed[str(column.flag)] = ~value.between(low, high)
    return changed


def _bounds(minimum: float | None, maximum: float | None) -> tuple[float, float]:
    largest = 1.7976931348623157e308  # keeps infinities and NaN out, which no finite bound would
    return (-largest if minimum is None else minimum, largest if maximum is None else maximum)


def _fences(quantiles: list[float], reach: float) -> tuple[float, float]:
    low, high = quantiles
    return low - reach * (high - low), high + reach * (high - low)
