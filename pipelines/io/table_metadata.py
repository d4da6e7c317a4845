"""What Iceberg's metadata says of a table: where it lies, its columns, and what a snapshot added. No data is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import StructType

from pipelines.io.iceberg import IcebergTable
from pipelines.io.publishers import RUN, SCOPE


@dataclass(frozen=True)
class Added:
    """What a run added to a table: rows, bytes and data files."""

    rows: int
    size: int
    files: int


class TableMetadata(IcebergTable):
    """One table's metadata, as it is when the object is created."""

    @property
    def location(self) -> str:
        """The path or URI of the table's folder."""
        return str(self._table.location())

    @property
    def schema(self) -> StructType:
        """The table's columns, as Spark has them, comments included."""
        struct = self._jvm.org.apache.iceberg.spark.SparkSchemaUtil.convert(self._table.schema())
        return StructType.fromJson(json.loads(struct.json()))

    def added(self, snapshot_id: int) -> Added:
        """What the run that made a snapshot added for the same scope, in one commit or several.

        The first of several commits replaces the scope's former rows, and the others append to it.
        """
        last = self._table.snapshot(snapshot_id)
        summaries: list[Mapping[str, str]] = []
        snapshot, publisher = last, _publisher_of(last)
        while snapshot is not None and _publisher_of(snapshot) == publisher:
            summaries.append(snapshot.summary())
            parent = snapshot.parentId()
            appended = str(snapshot.operation()) == "append"
            snapshot = self._table.snapshot(parent) if appended and parent is not None else None
        rows, size, files = (
            sum(int(summary.get(name) or 0) for summary in summaries)
            for name in ("added-records", "added-files-size", "added-data-files")
        )
        return Added(rows, size, files)


def _publisher_of(snapshot: Any) -> tuple[str | None, str | None]:
    """The run that published a snapshot, and the scope that it replaced."""
    summary = snapshot.summary()
    return summary.get(RUN), summary.get(SCOPE)
