"""Which rows become features: those whose numbers would all be finite; the others are quarantined with every reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.expressions import all_of, col, literal, number, quoted, sum_of
from pipelines.fitted import FittedSpec
from schemas.names import internal

FLOAT_MAX = 3.4028234663852886e38
PARTITION, RAW = internal("partition"), internal("raw")


class Transformed(NamedTuple):
    """Rows that became features, and rows in which a number was not finite; together all rows that went in."""

    rows: DataFrame
    quarantined: DataFrame


def split_by_features(computed: DataFrame, spec: FittedSpec) -> Transformed:
    """Split rows with `working_columns` by whether all their features are finite numbers, and of an image are its levels.

    The rows pass as they are; of the quarantined ones are left the reasons and the raw row.
    """
    types = spec.columns
    fine = F.coalesce(all_of([F.col(PARTITION) >= 0, *_conditions(spec)]), F.lit(False))
    # Reasons are for the few that are refused: Spark interprets array_compact, and would make an array for every row.
    wrong = [
        f"case when not ({_fine(name, type_)}) then {literal(f'{name}: expected {_expected(type_)}')} end"
        for name, type_ in types.items()
        if "int" not in type_
    ]
    reasons = F.expr(f"array_compact(array({', '.join(wrong)}))" if wrong else "array()")
    of_no_line = (F.lit(None).cast(kind).alias(name) for name, kind in (("source_file", "string"), ("source_line", "bigint")))
    bad = computed.where(~fine).select(
        reasons.alias("reasons"), *of_no_line, F.col(RAW).alias("raw"), F.lit(False).alias("unparsed")
    )
    return Transformed(computed.where(fine), bad)


def working_columns(features: dict[str, Column], spec: FittedSpec) -> Iterator[Column]:
    """What the split reads: each feature under the name of a working column, the raw row as JSON, and a first condition."""
    for name, type_ in spec.columns.items():
        yield features[name].cast(type_).alias(internal(name))
    yield F.to_json(F.struct("*")).alias(RAW)
    # Nothing that can be told from other columns, so that Spark does not work out all features twice: for the filter first.
    yield F.spark_partition_id().alias(PARTITION)


def _conditions(spec: FittedSpec) -> Iterator[Column]:
    """What is true of a row whose numbers are all finite."""
    if spec.numbers:
        # A finite number times 0 is 0, any other is not a number: one sum without a branch.
        zero = F.lit(0.0).cast("float")
        yield sum_of(col(internal(name)) * zero for name in spec.numbers) == 0
    for name, type_ in spec.columns.items():
        if type_ == "array<float>":
            yield F.expr(_fine(name, type_))


def _fine(name: str, type_: str) -> str:
    """SQL that is true of a feature whose numbers are all finite."""
    value = quoted(internal(name))
    if type_ == "float":
        return _finite(value)
    return f"{value} is not null and not exists({value}, each -> not ({_finite('each')}))"


def _expected(type_: str) -> str:
    return "a finite number" if type_ == "float" else "finite numbers of it alone (of an image, a PNG as base64)"


def _finite(value: str) -> str:
    return f"{value} is not null and not isnan({value}) and abs({value}) <= {number(FLOAT_MAX)}"
