"""An Iceberg catalog read without a Spark session: a pipeline's tables, when they were written, and the rows of small ones.

It asks Java for Iceberg's metadata alone, and changes nothing: neither catalog nor namespace is created.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from pipelines.config import LakeConfig
from pipelines.errors import ConfigError, ExternalError
from pipelines.io.catalog import catalog_settings
from pipelines.io.driver_rows import Where, expression
from pipelines.io.filesystem import is_local, warehouse_uri
from pipelines.io.iceberg import IcebergTable
from pipelines.io.java_errors import reason_of
from pipelines.io.lake import CATALOG
from pipelines.io.publishers import SCOPE
from pipelines.io.table_files import planned_files
from schemas.contract import Column, Table

FAULTS = (Py4JJavaError, PySparkException)  # the same from Java; PySpark, where a session was begun, puts some in its own words
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"TIMESTAMP": "microseconds", "DATE": "days"}  # in which Iceberg counts from the epoch
MISSING = "NoSuchNamespaceException"
CATALOG_TABLE = "iceberg_tables"  # in which a JDBC catalog keeps its tables


class StoredTable(IcebergTable):
    """A table as a catalog loaded it: what its metadata says, without opening data files."""

    def __init__(self, jvm: Any, table: Any, identifier: str) -> None:
        self._jvm, self._table, self._identifier = jvm, table, identifier

    @property
    def contract(self) -> Table:
        """The stored columns' names, for reading rows of a table whose contract is not at hand."""
        names = [str(field.name()) for field in self._table.schema().columns()]
        return Table(self._identifier, tuple(Column(name, "string") for name in names))

    def records(self) -> int | None:
        """Rows on main; None when nothing was ever published."""
        return None if self.snapshot_id() is None else int(self.summary().get("total-records", 0))

    def written_at(self) -> datetime | None:
        """When rows were last published, in UTC; what `maintain` does to files and expired rows does not count.

        None when nothing was, or maintain has expired all snapshots but its own.
        """
        snapshot = self._table.currentSnapshot()
        while snapshot is not None and _is_maintenance(snapshot):
            parent = snapshot.parentId()
            snapshot = None if parent is None else self._table.snapshot(parent)
        return None if snapshot is None else EPOCH + timedelta(milliseconds=snapshot.timestampMillis())

    def newest(self, column: str, where: Where) -> datetime | None:
        """The newest time in a column of the selected files, by the upper bounds that manifests hold; None without any."""
        field = self._table.schema().findField(column)
        unit = field and UNITS.get(str(field.type().typeId().name()))
        if not unit:
            return None
        conversions = self._jvm.org.apache.iceberg.types.Conversions
        scan = self._table.newScan().filter(expression(self._jvm, where)).includeColumnStats([column])
        bounds = (_upper_bound(file, field.fieldId()) for file in planned_files(scan))
        values = [int(conversions.fromByteBuffer(field.type(), bound)) for bound in bounds if bound is not None]
        return EPOCH + timedelta(**{unit: max(values)}) if values else None


class CatalogReader:
    """The tables of one pipeline. Raises ConfigError when there are none, ExternalError when the catalog can't be read."""

    def __init__(self, gateway: Any, catalog: Any, namespace: str, warehouse: str) -> None:
        self._gateway, self._catalog = gateway, catalog
        levels = gateway.new_array(gateway.jvm.java.lang.String, 1)
        levels[0] = namespace
        self._namespace = gateway.jvm.org.apache.iceberg.catalog.Namespace.of(levels)
        try:
            self.tables = sorted(str(entry.name()) for entry in catalog.listTables(self._namespace))
        except FAULTS as error:
            if not _is_empty(error):
                raise _unreadable(error) from error
            self.tables = []
        if not self.tables:
            raise _no_tables(namespace, warehouse)
        self._loaded: dict[str, StoredTable] = {}

    def table(self, name: str) -> StoredTable | None:
        """A table by name, read once; None when it was never created."""
        if name not in self.tables:
            return None
        if name not in self._loaded:
            jvm = self._gateway.jvm
            try:
                loaded = self._catalog.loadTable(jvm.org.apache.iceberg.catalog.TableIdentifier.of(self._namespace, name))
            except FAULTS as error:
                raise ExternalError(
                    f"table {name}: its metadata can't be read ({reason_of(error)}). See that lake.warehouse is reachable "
                    f"and that this user may read it."
                ) from error
            self._loaded[name] = StoredTable(jvm, loaded, name)
        return self._loaded[name]

    def rows(self, name: str, where: Where, contract: Table | None = None) -> list[dict[str, Any]]:
        """The selected rows of a small table; none of one that was never created."""
        table = self.table(name)
        return [] if table is None else table.read_rows(contract or table.contract, where)


@contextmanager
def catalog_reader(gateway: Any, lake: LakeConfig, namespace: str) -> Iterator[CatalogReader]:
    """The pipeline's tables in the configured catalog, which is closed at the end; errors as CatalogReader has them."""
    prefix = f"spark.sql.catalog.{CATALOG}."
    settings = {name.removeprefix(prefix): value for name, value in catalog_settings(lake).items() if name.startswith(prefix)}
    if not lake.catalog and is_local(lake.warehouse) and not (Path(warehouse_uri(lake)) / "catalog.db").exists():
        raise _no_tables(namespace, warehouse_uri(lake))
    properties = gateway.jvm.java.util.HashMap()
    for name, value in {**settings, "jdbc.init-catalog-tables": "false"}.items():
        properties.put(name, value)
    apache = gateway.jvm.org.apache
    hadoop = apache.spark.deploy.SparkHadoopUtil.get().newConfiguration(apache.spark.SparkConf())
    try:
        catalog = apache.iceberg.CatalogUtil.buildIcebergCatalog(CATALOG, properties, hadoop)
    except FAULTS as error:
        raise (_no_tables(namespace, warehouse_uri(lake)) if _is_empty(error) else _unreadable(error)) from error
    try:
        yield CatalogReader(gateway, catalog, namespace, warehouse_uri(lake))
    finally:
        with suppress(Exception):  # not every catalog has something to close
            catalog.close()


def _upper_bound(file: Any, field_id: int) -> Any:
    bounds = file.upperBounds()
    return None if bounds is None else bounds.get(field_id)


def _is_maintenance(snapshot: Any) -> bool:
    operation = str(snapshot.operation())
    # A job that publishes an interval without rows may delete too, but names what it replaced.
    return operation == "replace" or (operation == "delete" and SCOPE not in dict(snapshot.summary()))


def _is_empty(error: Exception) -> bool:
    """Whether a catalog answered that it lacks the namespace, or a database that no catalog was ever made in it."""
    java = error.java_exception if isinstance(error, Py4JJavaError) else None
    return (java is not None and str(java.getClass().getSimpleName()) == MISSING) or CATALOG_TABLE in reason_of(error).lower()


def _no_tables(namespace: str, warehouse: str) -> ConfigError:
    return ConfigError(
        f"pipeline {namespace} has no tables in {warehouse}. Run its jobs first, such as spark-submit jobs/ingest.py, from the "
        f"same folder; or fix lake.warehouse or lake.catalog."
    )


def _unreadable(error: Exception) -> ExternalError:
    return ExternalError(
        f"lake.catalog: the catalog can't be read ({reason_of(error).rstrip('.')}). See that its server is up and that this "
        f"user may read it, or fix lake.catalog or lake.warehouse."
    )
