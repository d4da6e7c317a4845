"""One pipeline's tables in the catalog: read as they are or as they were, and written by one run."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from tenacity import RetryCallState

from pipelines.errors import ExternalError
from pipelines.expressions import cols
from pipelines.io.driver_rows import Row, Where
from pipelines.io.iceberg import MAIN, IcebergTable
from pipelines.io.java_errors import reason_of
from pipelines.io.missing_clients import missing_client
from pipelines.io.publishers import RUN
from pipelines.io.retrying import retrying
from pipelines.io.tables import create, evolve, struct
from schemas.contract import Table

LOG = logging.getLogger(__name__)
CATALOG = "lake"
SPREAD_ROWS, SPREAD_BYTES = 5_000_000, 4 << 20  # of so few rows, what a task reads
OPENED_BY_OTHERS = ("org.apache.iceberg.jdbc.UncheckedSQLException", "org.apache.iceberg.exceptions.ServiceFailureException")
OPENINGS = 8  # tries to open a catalog that other runs open for the first time too


class Lake:
    """One pipeline's namespace in the catalog, as one run writes to it; raises ExternalError for one that can't be opened, and
    ConfigError where a jar is missing for that.
    """

    def __init__(self, spark: SparkSession, namespace: str, run_id: str) -> None:
        self.spark = spark
        self.namespace = namespace
        self.run_id = run_id
        self._created: list[Table] = []
        self._open()

    def _open(self) -> None:
        """Reach the catalog, and create the namespace.

        The first run to open a JDBC catalog, or one behind a REST server, creates its tables and rows. Of several that do so at
        once all but one fail, and find them there when they try again.
        """
        attempts = retrying("the catalog is opened by others, too", when=_opened_by_others, attempts=OPENINGS, wait=_pause)
        try:
            attempts(self.spark.sql, f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{self.namespace}")
        except (Py4JJavaError, PySparkException) as error:
            if missing := missing_client(error, "lake.warehouse"):
                raise missing from error
            tried = attempts.statistics["attempt_number"]
            raise ExternalError(
                f"lake.catalog: the catalog can't be opened ({reason_of(error)}; tried {tried} times). See that its "
                f"database is up and that this user may write to it, or fix lake.catalog or lake.warehouse."
            ) from error

    def identifier(self, table: str) -> str:
        """The full name of a table, as SQL takes it."""
        return f"{CATALOG}.{self.namespace}.{table}"

    def exists(self, table: str) -> bool:
        """Whether the table has been created."""
        return self.spark.catalog.tableExists(self.identifier(table))

    def tables(self) -> list[str]:
        """The names of all tables that have been created, sorted."""
        return sorted(row.tableName for row in self.spark.sql(f"SHOW TABLES IN {CATALOG}.{self.namespace}").collect())

    def create(self, contract: Table) -> None:
        """Create a table from its contract, or bring one that is there up to it: see `tables.create` and `tables.evolve`.

        What a run has brought up to date it does not look at again.
        """
        if contract in self._created:
            return
        (evolve if self.exists(contract.name) else create)(self.spark, self.identifier(contract.name), contract)
        self._created.append(contract)

    def read(self, table: str, version: int | str | None = None, rows: int | None = None) -> DataFrame:
        """The table on main, or as it was at a snapshot, given by its id or tag.

        Where it is known that a few million `rows` at most are to be read, they come in parts small enough for every slot to
        have one: Iceberg alone would hand files of 16 MB or less to one task.
        """
        reader = self.spark.read
        if version is not None:
            reader = reader.option("versionAsOf", version)
        if rows is not None and rows <= SPREAD_ROWS:
            reader = reader.option("split-size", SPREAD_BYTES)
        return reader.table(self.identifier(table))

    def snapshot_id(self, table: str, ref: str = MAIN) -> int | None:
        """The snapshot at the head of a branch of the table, or with a tag; None when there is none."""
        return IcebergTable(self.spark, self.identifier(table)).snapshot_id(ref) if self.exists(table) else None

    def publisher(self, table: str, scope: str) -> str | None:
        """The run that last published to the table what `scope` has rows of; None when no snapshot that is kept says so."""
        newest = IcebergTable(self.spark, self.identifier(table)).publisher(scope) if self.exists(table) else None
        return newest and newest.run_id

    def publishers(self, table: str, scopes: Sequence[str]) -> dict[str, str]:
        """The same for several scopes, those without one left out."""
        if not self.exists(table):
            return {}
        return IcebergTable(self.spark, self.identifier(table)).publishers(scopes)

    def rows(self, contract: Table, where: Where, snapshot_id: int | None = None) -> list[dict[str, Any]]:
        """The selected rows of a table of few, read by the driver; none of a table that was never created."""
        if not self.exists(contract.name):
            return []
        return IcebergTable(self.spark, self.identifier(contract.name)).read_rows(contract, where, snapshot_id)

    def append(self, contract: Table, frame: DataFrame) -> int:
        """Add rows to a table in one commit; return its new snapshot."""
        self.create(contract)
        writer = frame.select(*cols(contract.column_names)).writeTo(self.identifier(contract.name))
        writer.option(f"snapshot-property.{RUN}", self.run_id).append()
        snapshot = self.snapshot_id(contract.name)
        assert snapshot is not None
        return snapshot

    def append_rows(self, contract: Table, rows: Sequence[Row]) -> None:
        """Add a few rows that the driver holds to a table in one commit."""
        self.create(contract)
        IcebergTable(self.spark, self.identifier(contract.name)).append_rows(contract, rows, {RUN: self.run_id})
        LOG.debug("table %s: %d rows appended", contract.name, len(rows))

    def frame(self, contract: Table, rows: list[dict[str, object]]) -> DataFrame:
        """A DataFrame of a few rows that the driver holds, with the contract's columns and types."""
        schema = struct(contract)
        stored = [{c.name: row.get(c.name) if c.nullable else row[c.name] for c in contract.columns} for row in rows]
        # Arrow's rows go to a task as they are; rows of Python would be unpickled there, which takes as long as the writing.
        table = pa.Table.from_pylist(stored, schema=to_arrow_schema(schema))
        return self.spark.createDataFrame(table, schema).coalesce(1)


def _opened_by_others(error: BaseException) -> bool:
    known = isinstance(error, Py4JJavaError | PySparkException)
    return known and any(kind in str(error) for kind in OPENED_BY_OTHERS)


def _pause(state: RetryCallState) -> float:
    return random.uniform(0.1, 0.2) * state.attempt_number  # noqa: S311 - it spreads the tries, it keeps no secret
