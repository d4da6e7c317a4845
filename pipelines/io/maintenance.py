"""What keeps one table small and quick to plan: compaction, and the end of what nothing refers to any more.

Each piece of work is safe beside running jobs: it is one commit of Iceberg's, done again when another run was faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.sql import Row
from pyspark.sql import functions as F
from tenacity import wait_random

from pipelines.errors import ConflictError
from pipelines.io.audit import AUDIT_PREFIX
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import CATALOG, Lake
from pipelines.io.retrying import retrying

T = TypeVar("T")
ATTEMPTS = 5
PAUSE_SECONDS = 2.0
CONFLICTS = ("CommitFailedException", "ValidationException", "Cannot commit rewrite")
STAMP = re.compile(r"\d{8}t\d{6}")
SMALL = 0.75  # of the target size, below which Iceberg takes a file into compaction


@dataclass(frozen=True)
class Retention:
    """The times, in UTC, before which snapshots, orphans, audits and raw rows go, and the target size of a file in bytes."""

    snapshots: datetime
    orphans: datetime
    audits: datetime
    raw: datetime | None
    file_bytes: int


@dataclass(frozen=True)
class MaintenanceResult:
    """What was done to a table, or would be: files of main before and after, their bytes, and what went."""

    table: str
    files: tuple[int, int]
    size: tuple[int, int]
    snapshots: int
    orphans: int
    branches: int
    rows: int


class Maintenance:
    """The work on one table; `dry` finds out what would be done, and changes nothing."""

    def __init__(self, lake: Lake, table: str, retention: Retention, *, dry: bool) -> None:
        self._lake, self._name, self._retention, self._dry = lake, table, retention, dry
        self._identifier = lake.identifier(table)

    def run(self) -> MaintenanceResult:
        """Drop stale audit branches, expire raw rows, compact, then expire snapshots and remove orphans.

        Raises ConflictError when others commit to the table without end.
        """
        before = self._table.totals()
        branches = self._drop_stale_branches()
        rows = self._expire_rows()
        merged = self._compact()
        snapshots = self._expire_snapshots()
        orphans = self._remove_orphans()
        after = (before[0] - merged, before[1]) if self._dry else IcebergTable(self._lake.spark, self._identifier).totals()
        return MaintenanceResult(self._name, (before[0], after[0]), (before[1], after[1]), snapshots, orphans, branches, rows)

    @cached_property
    def _table(self) -> IcebergTable:
        return IcebergTable(self._lake.spark, self._identifier)

    def _drop_stale_branches(self) -> int:
        """Branches of runs that were killed: those of running ones are younger than `audits`."""
        stale = [
            name
            for name, committed_at in self._table.references().items()
            if name.startswith(AUDIT_PREFIX) and max(committed_at, _stamp(name) or committed_at) < self._retention.audits
        ]
        for name in [] if self._dry else stale:
            self._table.drop_branch(name)
        return len(stale)

    def _expire_rows(self) -> int:
        """Raw rows of intervals that ended too long ago, in one commit; return how many."""
        if self._retention.raw is None or not self._name.startswith("raw_"):
            return 0
        before = self._retention.raw
        rows = self._lake.read(self._name).where(F.col("interval_to") < F.lit(before)).count()  # from metadata alone
        if rows and not self._dry:
            _retry_on_conflict(lambda: self._table.delete_before("interval_to", before, self._lake.run_id), self._identifier)
        return rows

    def _compact(self) -> int:
        """Bring each partition's small files together, in the table's own order; return how many fewer files there are."""
        surplus = self._surplus_files(SMALL * self._retention.file_bytes)
        if surplus and not self._dry:
            # Packed, a sorted table would lose its order: features lie by row_id, which the trainer's shuffle builds on.
            strategy = "sort" if self._table.is_sorted() else "binpack"
            options = f"map('min-input-files', '2', 'target-file-size-bytes', '{self._retention.file_bytes}')"
            self._call("rewrite_data_files", f"strategy => '{strategy}', options => {options}")
        if not self._dry and IcebergTable(self._lake.spark, self._identifier).manifests() > 1:
            self._call("rewrite_manifests")
        return surplus

    def _surplus_files(self, below: float) -> int:
        if self._table.is_of_few_files():
            return self._table.surplus_files(below)
        files = self._lake.read(f"{self._name}.files").where(F.col("file_size_in_bytes") < below)
        groups = files.groupBy("partition") if "partition" in files.columns else files.groupBy()
        return int(groups.count().where("count > 1").agg(F.sum("count") - F.count("*")).collect()[0][0] or 0)

    def _expire_snapshots(self) -> int:
        """Snapshots that are neither young nor the head of a branch or tag; return how many."""
        table = IcebergTable(self._lake.spark, self._identifier)
        old = table.expirable(self._retention.snapshots)
        if not old or self._dry:
            return old
        if table.is_of_few_files():
            _retry_on_conflict(lambda: table.expire_snapshots(self._retention.snapshots), self._identifier)
        else:
            self._call("expire_snapshots", f"older_than => {_literal(self._retention.snapshots)}, retain_last => 1")
        return old

    def _remove_orphans(self) -> int:
        """Files in the table's folder that no snapshot knows, and that no running job can be writing; return how many."""
        table = IcebergTable(self._lake.spark, self._identifier)
        # Most tables have none. A look at their files tells that sooner than the procedure, which goes by jobs of Spark's.
        if table.is_of_few_files() and not table.has_orphans(self._retention.orphans):
            return 0
        flags = {"dry_run": self._dry, "prefix_listing": self._table.has_own_client()}  # without a prefix Hadoop's client lists
        named = ", ".join(f"{flag} => {str(value).lower()}" for flag, value in flags.items())
        arguments = f"older_than => {_literal(self._retention.orphans)}, {named}"
        return len(self._call("remove_orphan_files", arguments))

    def _call(self, procedure: str, arguments: str = "") -> list[Row]:
        named = ", ".join(part for part in (f"table => '{self._lake.namespace}.{self._name}'", arguments) if part)
        statement = f"CALL {CATALOG}.system.{procedure}({named})"
        return _retry_on_conflict(lambda: self._lake.spark.sql(statement).collect(), self._identifier)


def _retry_on_conflict(work: Callable[[], T], table: str) -> T:
    """Do the work; repeat it, from the table's new state, when another run's commit came first."""
    attempts = retrying(
        f"table {table}: another run committed first", when=_is_conflict, attempts=ATTEMPTS, wait=wait_random(0, PAUSE_SECONDS)
    )
    try:
        return attempts(work)
    except Py4JJavaError as error:
        if not _is_conflict(error):
            raise
        raise ConflictError(
            f"table {table}: other runs committed to it during each of {ATTEMPTS} attempts. Run maintain again once "
            f"they are done; what it has done so far stands."
        ) from error


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, Py4JJavaError) and any(conflict in str(error.java_exception) for conflict in CONFLICTS)


def _stamp(branch: str) -> datetime | None:
    """When the run began that made a branch, as its name says."""
    match = STAMP.search(branch)
    return None if match is None else datetime.strptime(match[0], "%Y%m%dt%H%M%S").replace(tzinfo=UTC)


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00'"
