"""Iceberg tables: created from contracts, written to an audit branch, published by moving main in one commit."""

from __future__ import annotations

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
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from pipelines.errors import ConfigError
from pipelines.io.iceberg import IcebergTable
from schemas.contract import Table

CATALOG = "lake"
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
        properties = {"format-version": "2", "write.distribution-mode": "hash", **contract.properties}
        shown = ", ".join(f"'{key}'='{value}'" for key, value in properties.items())
        name = self.identifier(contract.name)
        self.spark.sql(f"CREATE TABLE {name} ({columns}) USING iceberg {partition} TBLPROPERTIES ({shown})")
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


class Audit:
    """Writes to audit branches. `publish` shows them all; leaving without it drops them all, and main stays as it was."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._branch = f"audit_{lake.run_id}"
        self._staged: list[str] = []

    def stage(self, contract: Table, frame: DataFrame, replace: SparkColumn) -> int:
        """Write rows to the table's audit branch in the place of those that `replace` selects; return how many.

        The frame is brought to the contract's columns; columns that only the table still has become null. The count is
        Iceberg's own, of the rows in the files.
        """
        self._lake.create(contract)
        self._table(contract.name).create_branch(self._branch)
        self._staged.append(contract.name)
        dropped = [
            F.lit(None).cast(field.dataType).alias(field.name)
            for field in self._lake.read(contract.name).schema
            if field.name not in contract.column_names
        ]
        branch = f"{self._lake.identifier(contract.name)}.branch_{self._branch}"
        writer = frame.select(*contract.column_names, *dropped).writeTo(branch)
        writer.option("snapshot-property.run_id", self._lake.run_id).overwrite(replace)
        return int(self._table(contract.name).summary(self._branch).get("added-records", "0"))

    def read(self, contract: Table) -> DataFrame:
        """A staged table as it will be once published."""
        return self._lake.spark.table(f"{self._lake.identifier(contract.name)}.branch_{self._branch}")

    def publish(self) -> dict[str, int]:
        """Make the staged tables visible in the order of staging, one commit each; return their new snapshots."""
        snapshots: dict[str, int] = {}
        while self._staged:
            snapshots[self._staged[0]] = self._table(self._staged[0]).publish(self._branch)
            self._staged.pop(0)
        return snapshots

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in self._staged:
            self._table(name).drop_branch(self._branch)

    def _table(self, name: str) -> IcebergTable:
        return IcebergTable(self._lake.spark, self._lake.identifier(name))


def struct(contract: Table) -> StructType:
    """A contract's columns as a Spark schema."""
    return StructType([StructField(c.name, TYPES[c.type], c.nullable) for c in contract.columns])


def same_interval(start: datetime, end: datetime) -> SparkColumn:
    """Selects the rows of exactly one interval."""
    return (F.col("interval_from") == F.lit(start)) & (F.col("interval_to") == F.lit(end))


def _comment(unit: str | None, comment: str) -> str:
    return "; ".join(part for part in (comment, unit) if part).replace("'", "\\'")
