"""Rows on audit branches of tables: what they are written with, and which rows of main they replace."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import cast

from pyspark.sql import Column, DataFrame, DataFrameWriterV2
from pyspark.sql import functions as F

from pipelines.errors import AccountingError
from pipelines.expressions import cols, fold
from pipelines.io.driver_rows import BOUNDS, Bound, Spans, Where
from pipelines.io.lake import Lake
from pipelines.io.publishers import RUN, SCOPE
from pipelines.io.scopes import is_of_many
from schemas.contract import Table

PART_BYTES = 16 << 20


@dataclass(frozen=True)
class Staged:
    """Rows on an audit branch of a table, the snapshot that the branch began on, and which rows of main they replace."""

    contract: Table
    branch: str
    base: int | None
    replace: Column
    rows: int


def on_branch(lake: Lake, staged: Staged) -> str:
    """The identifier by which Spark reads and writes the branch."""
    return f"{lake.identifier(staged.contract.name)}.branch_{staged.branch}"


def branch_writer(lake: Lake, scope: str, staged: Staged, frame: DataFrame) -> DataFrameWriterV2:
    """A writer of the frame's rows to the branch, whose snapshots will name the run and its scope.

    The frame is brought to the contract's columns; columns that only the table still has become null.
    """
    contract, names = staged.contract, staged.contract.column_names
    known, stored = set(names), lake.read(contract.name).schema
    dropped = [F.lit(None).cast(field.dataType).alias(field.name) for field in stored if field.name not in known]
    writer = frame.select(*cols(names), *dropped).writeTo(on_branch(lake, staged))
    writer = writer.option(f"snapshot-property.{RUN}", lake.run_id).option(f"snapshot-property.{SCOPE}", scope)
    if is_of_many(scope):
        # Small parts, so that several tasks write the many partitions.
        return writer.option("advisory-partition-size", str(PART_BYTES))
    if contract.one_partition:
        # Every task writes to the one partition there is: to move and sort rows for that would be for nothing.
        writer = writer.option("distribution-mode", "none").option("fanout-enabled", "true")
    return writer


def selects(where: Where) -> Column:
    """A selection of rows as a Column of Spark's."""
    return reduce(and_, (_selects_by(F.col(name), condition) for name, condition in where.items()))


def _selects_by(column: Column, condition: object) -> Column:
    if isinstance(condition, Spans):
        return fold(or_, [selects(part) for part in condition.parts()])
    if isinstance(condition, Bound):
        return cast(Column, BOUNDS[condition.operator][0](column, F.lit(condition.value)))
    return column.isin(*(condition if isinstance(condition, tuple) else (condition,)))


def check_same_rows(before: Staged, after: Staged) -> None:
    """Raise AccountingError when staging rows anew gave more or fewer of them."""
    if before.rows != after.rows:
        raise AccountingError(
            f"table {before.contract.name}: {before.rows:,} rows were staged, and {after.rows:,} when they were staged again."
        )
