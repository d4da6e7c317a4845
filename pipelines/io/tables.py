"""Iceberg tables: created from contracts, written to an audit branch, published by moving main in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from pipelines.errors import AccountingError, ConfigError, ConflictError
from pipelines.io.iceberg import IcebergTable
from schemas.contract import Table

CATALOG = "lake"
PUBLISH_ATTEMPTS = 20
TYPES: dict[str, DataType] = {
    "boolean": BooleanType(),
    "int": IntegerType(),
    "bigint": LongType(),
    "float": FloatType(),
    "double": DoubleType(),
    "string": StringType(),
    "date": DateType(),
    "timestamp": TimestampType(),
    "array<string>": ArrayType(StringType()),
    "array<double>": ArrayType(DoubleType()),
    "map<string,string>": MapType(StringType(), StringType()),
}


class Lake:
    """One pipeline's namespace in the catalog, as one run writes to it."""

    def __init__(self, spark: SparkSession, namespace: str, run_id: str) -> None:
        self.spark = spark
        self.namespace = namespace
        self.run_id = run_id
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{namespace}")

    def identifier(self, table: str) -> str:
        """The full name of a table, as SQL takes it."""
        return f"{CATALOG}.{self.namespace}.{table}"

    def exists(self, table: str) -> bool:
        """Whether the table has been created."""
        return self.spark.catalog.tableExists(self.identifier(table))

    def create(self, contract: Table) -> None:
        """Create a table from its contract; one that is there gets the contract's new columns, and keeps the others.

        Raises ConfigError when a column has changed its type.
        """
        if self.exists(contract.name):
            self._evolve(contract)
            return
        columns = ", ".join(
            f"`{c.name}` {c.type}{'' if c.nullable else ' NOT NULL'} COMMENT '{_comment(c.unit, c.comment)}'"
            for c in contract.columns
        )
        partition = f"PARTITIONED BY ({', '.join(contract.partition_by)})" if contract.partition_by else ""
        properties = {
            "format-version": "2",
            "write.distribution-mode": "hash",
            "commit.retry.num-retries": "20",
            **contract.properties,
        }
        shown = ", ".join(f"'{key}'='{value}'" for key, value in properties.items())
        name = self.identifier(contract.name)
        self.spark.sql(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING iceberg {partition} TBLPROPERTIES ({shown})")
        if contract.sorted_by:
            self.spark.sql(
                f"ALTER TABLE {name} WRITE DISTRIBUTED BY PARTITION LOCALLY ORDERED BY {', '.join(contract.sorted_by)}"
            )

    def _evolve(self, contract: Table) -> None:
        """Add the contract's new columns, and let those that it has dropped be null from now on."""
        name = self.identifier(contract.name)
        fields = {field.name: field for field in self.spark.table(name).schema}
        for column in contract.columns:
            if column.name not in fields:
                self.spark.sql(f"ALTER TABLE {name} ADD COLUMN `{column.name}` {column.type}")
            elif fields[column.name].dataType != TYPES[column.type]:
                raise ConfigError(
                    f"table {name}: column {column.name} is of type {fields[column.name].dataType.simpleString()}, its "
                    f"contract now says {column.type}. Give the new column another name, or drop the table."
                )
        for field in fields.values():
            if field.name not in contract.column_names and not field.nullable:
                self.spark.sql(f"ALTER TABLE {name} ALTER COLUMN `{field.name}` DROP NOT NULL")

    def read(self, table: str, version: int | str | None = None) -> DataFrame:
        """The table on main, or as it was at a snapshot, given by its id or tag."""
        if version is None:
            return self.spark.table(self.identifier(table))
        return self.spark.read.option("versionAsOf", version).table(self.identifier(table))

    def snapshot_id(self, table: str) -> int | None:
        """The snapshot at the head of the table's main branch; None when nothing was ever published."""
        return IcebergTable(self.spark, self.identifier(table)).snapshot_id() if self.exists(table) else None

    def audit(self) -> Audit:
        """Start a set of writes that is checked before any of it is seen."""
        return Audit(self)

    def append(self, contract: Table, frame: DataFrame) -> int:
        """Add rows to a table in one commit; return its new snapshot."""
        self.create(contract)
        writer = frame.select(*contract.column_names).writeTo(self.identifier(contract.name))
        writer.option("snapshot-property.run_id", self.run_id).append()
        snapshot = self.snapshot_id(contract.name)
        assert snapshot is not None
        return snapshot

    def frame(self, contract: Table, rows: list[dict[str, object]]) -> DataFrame:
        """A DataFrame of a few rows that the driver holds, with the contract's columns and types."""
        names = contract.column_names
        return self.spark.createDataFrame([tuple(row[name] for name in names) for row in rows], struct(contract)).coalesce(1)


@dataclass(frozen=True)
class Staged:
    """Rows on an audit branch of a table, and which rows of main they are to replace."""

    contract: Table
    branch: str
    replace: SparkColumn
    rows: int


class Audit:
    """Writes to audit branches. `publish` shows them all; leaving without it drops them all, and main stays as it was."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._staged: dict[str, Staged] = {}

    def stage(self, contract: Table, frame: DataFrame, replace: SparkColumn) -> int:
        """Write rows to the table's audit branch in the place of those that `replace` selects; return how many.

        The frame is brought to the contract's columns; columns that only the table still has become null. The count is
        Iceberg's own, of the rows in the files.
        """
        self._lake.create(contract)
        return self._write(contract, frame, replace, f"audit_{self._lake.run_id}").rows

    def read(self, contract: Table) -> DataFrame:
        """A staged table as it will be once published."""
        return self._lake.spark.table(self._on_branch(self._staged[contract.name]))

    def publish(self) -> dict[str, int]:
        """Make the staged tables visible in the order of staging, one commit each; return their new snapshots.

        A table to which another run has published meanwhile is staged anew on top of that: intervals that are published at
        once all land, and of two runs of one interval the later stands. Raises ConflictError when that does not end.
        """
        return {name: self._publish(name) for name in list(self._staged)}

    def _publish(self, name: str, attempt: int = 1) -> int:
        staged = self._staged[name]
        try:
            snapshot = self._table(name).publish(staged.branch)
        except ConflictError:
            if attempt == PUBLISH_ATTEMPTS:
                raise
            self._rebase(staged, attempt)
            return self._publish(name, attempt + 1)
        del self._staged[name]
        return snapshot

    def _rebase(self, staged: Staged, attempt: int) -> None:
        """Stage the same rows again, from where main is now; raises AccountingError when they are not as many."""
        rows = self._lake.spark.table(self._on_branch(staged)).where(staged.replace)
        again = self._write(staged.contract, rows, staged.replace, f"audit_{self._lake.run_id}_{attempt}")
        self._table(staged.contract.name).drop_branch(staged.branch)
        check_same_rows(staged, again)

    def _write(self, contract: Table, frame: DataFrame, replace: SparkColumn, branch: str) -> Staged:
        table = self._table(contract.name)
        table.create_branch(branch)
        staged = Staged(contract, branch, replace, rows=0)
        self._staged[contract.name] = staged
        dropped = [
            F.lit(None).cast(field.dataType).alias(field.name)
            for field in self._lake.read(contract.name).schema
            if field.name not in contract.column_names
        ]
        writer = frame.select(*contract.column_names, *dropped).writeTo(self._on_branch(staged))
        writer.option("snapshot-property.run_id", self._lake.run_id).overwrite(replace)
        written = int(self._table(contract.name).summary(branch).get("added-records", "0"))
        self._staged[contract.name] = Staged(contract, branch, replace, written)
        return self._staged[contract.name]

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, staged in self._staged.items():
            self._table(name).drop_branch(staged.branch)

    def _on_branch(self, staged: Staged) -> str:
        return f"{self._lake.identifier(staged.contract.name)}.branch_{staged.branch}"

    def _table(self, name: str) -> IcebergTable:
        return IcebergTable(self._lake.spark, self._lake.identifier(name))


def check_same_rows(before: Staged, after: Staged) -> None:
    """Raise AccountingError when staging rows anew gave more or fewer of them."""
    if before.rows != after.rows:
        raise AccountingError(
            f"table {before.contract.name}: {before.rows:,} rows were staged, and {after.rows:,} when they were staged again."
        )


def struct(contract: Table) -> StructType:
    """A contract's columns as a Spark schema."""
    return StructType([StructField(c.name, TYPES[c.type], c.nullable) for c in contract.columns])


def same_interval(start: datetime, end: datetime) -> SparkColumn:
    """Selects the rows of exactly one interval."""
    return (F.col("interval_from") == F.lit(start)) & (F.col("interval_to") == F.lit(end))


def _comment(unit: str | None, comment: str) -> str:
    return "; ".join(part for part in (comment, unit) if part).replace("'", "\\'")
