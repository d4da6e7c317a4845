"""Iceberg tables from contracts: created, and brought up to contracts that changed."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column as SparkColumn
from pyspark.sql import SparkSession
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

from pipelines.errors import ConfigError
from pipelines.expressions import quoted
from pipelines.io.partitions import evolve_partitions
from pipelines.io.table_properties import assigned, read_batches, table_properties
from schemas.contract import Column, Table
from schemas.tables import FORMER_NAMES

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
    "array<float>": ArrayType(FloatType()),
    "array<int>": ArrayType(IntegerType()),
    "map<string,string>": MapType(StringType(), StringType()),
}
WIDER = {("int", "bigint"), ("float", "double")}  # of a stored type, the one that holds all its values


def create(spark: SparkSession, name: str, contract: Table) -> None:
    """Create a table, `name` in SQL, from its contract."""
    columns = ", ".join(
        f"{quoted(c.name)} {c.type}{'' if c.nullable else ' NOT NULL'} COMMENT '{_comment(c.unit, c.comment)}'"
        for c in contract.columns
    )
    partition = f"PARTITIONED BY ({', '.join(map(quoted, contract.partition_by))})" if contract.partition_by else ""
    properties = assigned(table_properties(contract))
    spark.sql(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING iceberg {partition} TBLPROPERTIES ({properties})")
    if contract.sorted_by:
        order = ", ".join(map(quoted, contract.sorted_by))
        spark.sql(f"ALTER TABLE {name} WRITE DISTRIBUTED BY PARTITION LOCALLY ORDERED BY {order}")


def evolve(spark: SparkSession, name: str, contract: Table) -> None:
    """Bring a table's columns up to its contract, each change one of metadata: files stay as they were written.

    Columns are renamed, added, widened (int to bigint, float to double) and allowed to be missing; those that the contract has
    dropped stay. Raises ConfigError for any other change of a column's type, and for another partitioning.
    """
    _rename(spark, name, contract)
    evolve_partitions(spark, name, contract)
    _check_case(spark, name, contract)
    fields = {field.name: field for field in spark.table(name).schema}
    if added := [f"{quoted(c.name)} {c.type}" for c in contract.columns if c.name not in fields]:
        spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({', '.join(added)})")
        if batches := read_batches(contract):
            spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({assigned(batches)})")
    for column in contract.columns:
        if column.name in fields and fields[column.name].dataType != TYPES[column.type]:
            _widen(spark, name, column, fields[column.name].dataType.simpleString())
    # A column that has become required stays optional in the table: old rows may lack it. Cleaning holds new ones to it.
    optional = {field.name for field in fields.values()} - {c.name for c in contract.columns if not c.nullable}
    for field in fields.values():
        if field.name in optional and not field.nullable:
            spark.sql(f"ALTER TABLE {name} ALTER COLUMN {quoted(field.name)} DROP NOT NULL")


def _rename(spark: SparkSession, name: str, contract: Table) -> None:
    """Give columns that the project has renamed their new names."""
    former = FORMER_NAMES.get(contract.name, {})
    stored = spark.table(name).columns if former else []
    for new, old in former.items():
        if old in stored and new not in stored:
            spark.sql(f"ALTER TABLE {name} RENAME COLUMN {quoted(old)} TO {quoted(new)}")


def _widen(spark: SparkSession, name: str, column: Column, stored: str) -> None:
    if (stored, column.type) not in WIDER:
        raise ConfigError(
            f"table {name}: column {column.name} is of type {stored}, its contract now says {column.type}; expected the "
            f"same or a wider one (int to bigint, float to double). Give the new column another name, or drop the table "
            f"and run its jobs again over all intervals."
        )
    spark.sql(f"ALTER TABLE {name} ALTER COLUMN {quoted(column.name)} TYPE {column.type}")


def _check_case(spark: SparkSession, name: str, contract: Table) -> None:
    stored = {field.name.lower(): field.name for field in spark.table(name).schema}
    if changed := [c.name for c in contract.columns if stored.get(c.name.lower(), c.name) != c.name]:
        raise ConfigError(
            f"table {name}: its columns {', '.join(stored[column.lower()] for column in changed)} are called "
            f"{', '.join(changed)} in the contract now. Spark takes names that differ in case only for the same. Put the "
            f"former names back, or drop the table and run its jobs again over all intervals."
        )


def struct(contract: Table) -> StructType:
    """A contract's columns as a Spark schema."""
    return StructType([StructField(c.name, TYPES[c.type], c.nullable) for c in contract.columns])


def within_interval(start: datetime, end: datetime) -> SparkColumn:
    """Selects the rows of an interval, and of all those inside it."""
    return (F.col("interval_from") >= F.lit(start)) & (F.col("interval_to") <= F.lit(end))


def same_interval(start: datetime, end: datetime) -> SparkColumn:
    """Selects the rows of exactly one interval."""
    return (F.col("interval_from") == F.lit(start)) & (F.col("interval_to") == F.lit(end))


def _comment(unit: str | None, comment: str) -> str:
    return "; ".join(part for part in (comment, unit) if part).replace("\\", "\\\\").replace("'", "\\'")
