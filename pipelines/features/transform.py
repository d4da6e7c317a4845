"""Apply a fitted spec to rows: floats for numbers, ids for words, arrays for sequences, images and texts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.expressions import col, quoted
from pipelines.features.batches import REASONS, feature_batches, refused_batches, usable_batches
from pipelines.features.fitted import FittedSpec
from schemas.names import internal

RAW = internal("raw")
OUT_OF_FOLD = ("split", "row_id")


class Transformed(NamedTuple):
    """Rows that became features, and rows in which a number was not finite; together all rows that went in."""

    rows: DataFrame
    quarantined: DataFrame


def transform(examples: DataFrame, spec: FittedSpec, passed_columns: tuple[str, ...], out_of_fold: bool = False) -> Transformed:
    """Replace raw values by features, beside the `passed_columns`, which stay as they are.

    `out_of_fold` gives rows of the train split (by their columns `split` and `row_id`) the mean labels of the rows outside
    their own fold; all others get what a served model gives. A row in which a number would not be a finite float32, or an
    image no PNG, is quarantined with the feature's name and the raw row.
    """
    selected = _select(examples, [*passed_columns, *spec.inputs, *(OUT_OF_FOLD if out_of_fold else ())])
    types = dict(selected.dtypes)
    schema = ", ".join(
        f"{quoted(name)} {type_}" for name, type_ in [*((name, types[name]) for name in passed_columns), *spec.columns.items()]
    )
    rows = selected.mapInArrow(partial(feature_batches, spec=spec, passed=passed_columns, out_of_fold=out_of_fold), schema)
    return Transformed(rows, refused(examples, spec))


def usable(examples: DataFrame, spec: FittedSpec) -> Transformed:
    """Split rows by whether they would become features as `transform` makes them; the rows pass as they are, raw values."""
    rows = examples.mapInArrow(partial(usable_batches, spec=spec), examples.schema)
    return Transformed(rows, refused(examples, spec))


def refused(examples: DataFrame, spec: FittedSpec) -> DataFrame:
    """The rows that become no features, as quarantine has them: the reasons and the raw row, of no line of a file."""
    selected = _select(examples.withColumn(RAW, F.to_json(F.struct("*"))), [RAW, *spec.inputs])
    batches = selected.mapInArrow(partial(refused_batches, spec=spec, passed=(RAW,)), f"{RAW} string, {REASONS} array<string>")
    of_no_line = (F.lit(None).cast(kind).alias(name) for name, kind in (("source_file", "string"), ("source_line", "bigint")))
    return batches.select(F.col(REASONS).alias("reasons"), *of_no_line, F.col(RAW).alias("raw"), F.lit(False).alias("unparsed"))


def _select(rows: DataFrame, names: Iterable[str]) -> DataFrame:
    """Columns by exactly these names, each once."""
    columns: list[Column] = [col(name).alias(name) for name in dict.fromkeys(names)]
    return rows.select(*columns)
