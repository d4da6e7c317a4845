"""The few calls into Iceberg's Java API that SQL offers only slowly: snapshots and branches of one table."""

from __future__ import annotations

from typing import Any

from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

from pipelines.errors import ExternalError

MAIN = "main"


class IcebergTable:
    """One table's references and snapshots, read afresh at each call."""

    def __init__(self, spark: SparkSession, identifier: str) -> None:
        # The session's own catalog holds the table, so what Spark commits and what is committed here see each other.
        self._table: Any = spark._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(  # type: ignore[union-attr]
            spark._jsparkSession, identifier
        )
        self._identifier = identifier
        self._table.refresh()

    def snapshot_id(self, branch: str = MAIN) -> int | None:
        """The snapshot at the head of a branch; None when the branch has none."""
        snapshot = self._table.snapshot(branch)
        return None if snapshot is None else int(snapshot.snapshotId())

    def summary(self, branch: str = MAIN) -> dict[str, str]:
        """The summary of the snapshot at the head of a branch: records and files added and in all."""
        return dict(self._table.snapshot(branch).summary())

    def create_branch(self, name: str) -> None:
        """Start a branch at the head of main, or empty in an empty table."""
        self._table.manageSnapshots().createBranch(name).commit()

    def drop_branch(self, name: str) -> None:
        """Forget a branch."""
        self._table.manageSnapshots().removeBranch(name).commit()

    def publish(self, branch: str) -> int:
        """Move main forward to the head of a branch and drop the branch, in one commit; return the snapshot.

        Raises ExternalError, naming the run that won, when main has moved since the branch began.
        """
        try:
            self._table.manageSnapshots().fastForwardBranch(MAIN, branch).removeBranch(branch).commit()
        except IllegalArgumentException as error:
            self._table.refresh()
            winner = self.summary().get("run_id", "unknown")
            raise ExternalError(
                f"table {self._identifier}: run {winner} published while this run was at work on it. What this run had "
                f"staged there is dropped; run it again, alone."
            ) from error
        self._table.refresh()
        return int(self._table.currentSnapshot().snapshotId())

    def tag(self, name: str, snapshot_id: int) -> None:
        """Give a snapshot a name that keeps it from being expired."""
        self._table.manageSnapshots().createTag(name, snapshot_id).commit()
