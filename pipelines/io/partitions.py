"""How a table's files are partitioned, brought up to its contract."""

from __future__ import annotations

from pyspark.sql import SparkSession

from pipelines.errors import ConfigError
from pipelines.expressions import quoted
from pipelines.io.iceberg import IcebergTable
from schemas.contract import Table


def evolve_partitions(spark: SparkSession, name: str, contract: Table) -> None:
    """Have new files of a table partitioned by further columns than former ones, as its contract says; former files stay.

    Raises ConfigError for any other change.
    """
    stored = IcebergTable(spark, name).partition_columns()
    if stored == contract.partition_by:
        return
    if stored and stored == contract.partition_by[: len(stored)]:
        for column in contract.partition_by[len(stored) :]:
            spark.sql(f"ALTER TABLE {name} ADD PARTITION FIELD {quoted(column)}")
        return
    raise ConfigError(
        f"table {name} is partitioned by {', '.join(stored) or 'nothing'}, its contract now says "
        f"{', '.join(contract.partition_by) or 'nothing'}. Put partition_by back, or drop the table and run its jobs "
        f"again over all intervals."
    )
