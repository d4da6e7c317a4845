"""The few calls into Iceberg's Java API that SQL offers only slowly: snapshots and branches of one table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession
from tenacity import wait_random

from pipelines.errors import ConflictError
from pipelines.io.driver_rows import COUNTED_FILES, Row, Where, arrow_schema, count_rows, expression, read_rows, write_rows
from pipelines.io.filesystem import files_before, locate
from pipelines.io.publishers import RUN, Publisher, publishers_of
from pipelines.io.retrying import retrying
from pipelines.io.scopes import overlap
from pipelines.io.table_files import planned_files, referenced_files, surplus_files
from pipelines.io.task_files import FileLayout, WrittenFile, data_files, layout_of
from schemas.contract import Table
from schemas.tables import FORMER_NAMES

MAIN = "main"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COMMIT_ATTEMPTS = 20
COMMIT_PAUSE_SECONDS = 0.5  # at most; a random share of it lets several writers pass each other


class IcebergTable:
    """One table's references and snapshots, read afresh at each call."""

    def __init__(self, spark: SparkSession, identifier: str) -> None:
        # The session's own catalog holds the table, so what Spark commits and what is committed here see each other.
        self._jvm = cast(Any, spark._jvm)
        self._table: Any = self._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, identifier)
        self._identifier = identifier
        self._table.refresh()

    def snapshot_id(self, ref: str = MAIN) -> int | None:
        """The snapshot at the head of a branch, or with a tag; None when there is none."""
        snapshot = self._table.snapshot(ref)
        return None if snapshot is None else int(snapshot.snapshotId())

    def summary(self, branch: str = MAIN) -> dict[str, str]:
        """The summary of the snapshot at the head of a branch: records and files added and in all."""
        return dict(self._table.snapshot(branch).summary())

    def added_by_interval(self, branch: str) -> dict[tuple[datetime, datetime], int]:
        """How many rows the snapshot at the head of a branch added, by the interval that their files are partitioned by."""
        fields = [str(field.name()) for field in self._table.spec().fields()]
        positions = [fields.index(name) for name in ("interval_from", "interval_to")]
        long = self._jvm.java.lang.Class.forName("java.lang.Long")
        rows: dict[tuple[datetime, datetime], int] = defaultdict(int)
        for file in self._table.snapshot(branch).addedDataFiles(self._table.io()):
            start, end = (_moment(file.partition().get(position, long)) for position in positions)
            rows[start, end] += int(file.recordCount())
        return dict(rows)

    def has_own_client(self) -> bool:
        """Whether Iceberg's own client for a store, such as S3FileIO, has the table's files. Hadoop's may be missing."""
        return str(self._table.io().getClass().getSimpleName()) not in ("HadoopFileIO", "ResolvingFileIO")

    def totals(self) -> tuple[int, int]:
        """Data files on main, and their bytes."""
        summary = {} if self.snapshot_id() is None else self.summary()
        return int(summary.get("total-data-files", 0)), int(summary.get("total-files-size", 0))

    def manifests(self) -> int:
        """How many manifests a reader of main opens to plan."""
        snapshot = self._table.currentSnapshot()
        return 0 if snapshot is None else int(snapshot.allManifests(self._table.io()).size())

    def is_of_few_files(self) -> bool:
        """Whether the driver goes through the files of main sooner than a job of Spark's begins."""
        return self.totals()[0] <= COUNTED_FILES

    def surplus_files(self, below: float) -> int:
        """How many files compaction would save: of each partition's files with fewer bytes all but one. For few files."""
        return surplus_files(self._table, below) if self.totals()[0] > 1 else 0

    def expire_snapshots(self, before: datetime) -> None:
        """Remove snapshots that are older and no head of a branch or tag, and the files that no other refers to."""
        self._table.refresh()
        self._table.expireSnapshots().expireOlderThan(int(before.timestamp() * 1000)).retainLast(1).commit()

    def has_orphans(self, before: datetime) -> bool:
        """Whether the table's folder has files, changed before a moment, that its metadata do not refer to. For few files."""
        old = files_before(str(self._table.location()), before)
        return bool(old) and not old <= {locate(file)[1] for file in referenced_files(self._jvm, self._table)}

    def is_sorted(self) -> bool:
        """Whether the table's files are written in an order."""
        return bool(self._table.sortOrder().isSorted())

    def references(self) -> dict[str, datetime]:
        """Branches and tags, each with the time of its snapshot's commit, in UTC."""
        references = self._table.refs()
        return {str(name): self._committed(references[name].snapshotId()) for name in references}

    def expirable(self, before: datetime) -> int:
        """How many snapshots are older and no head of a branch or tag."""
        references = self._table.refs()
        referenced = {references[name].snapshotId() for name in references}
        ids = [snapshot.snapshotId() for snapshot in self._table.snapshots()]
        return sum(self._committed(snapshot) < before for snapshot in ids if snapshot not in referenced)

    def delete_before(self, column: str, moment: datetime, run_id: str) -> None:
        """Take out the rows before a moment in one commit of whole files, by a column that the table is partitioned by."""
        self._table.refresh()
        older = self._jvm.org.apache.iceberg.expressions.Expressions.lessThan(column, moment.astimezone(UTC).isoformat())
        self._table.newDelete().deleteFromRowFilter(older).set(RUN, run_id).commit()

    def _committed(self, snapshot_id: int) -> datetime:
        return datetime.fromtimestamp(self._table.snapshot(snapshot_id).timestampMillis() / 1000, UTC)

    def partition_columns(self) -> tuple[str, ...]:
        """The columns that the table is partitioned by, with the transform of each that has one."""
        fields, schema = self._table.spec().fields(), self._table.schema()
        columns = ((str(schema.findColumnName(field.sourceId())), field.transform()) for field in fields)
        return tuple(name if transform.isIdentity() else f"{transform}({name})" for name, transform in columns)

    def publisher(self, scope: str, head: int | None = None, since: int | None = None) -> Publisher | None:
        """Who made the newest snapshot of a scope that overlaps this one, up to `head` (of main, when None), if anyone did.

        Only snapshots after `since` are looked at, where it is given.
        """
        overlapping = (each for each in publishers_of(self._table, head, since) if overlap(scope, each.scope))
        return next(overlapping, None)

    def publishers(self, scopes: Sequence[str]) -> dict[str, str]:
        """By scope, the run that made the newest snapshot of main which overlaps it, of those scopes that have one."""
        runs: dict[str, str] = {}
        waiting = set(scopes)
        for publisher in publishers_of(self._table) if waiting else ():
            runs |= dict.fromkeys((scope for scope in waiting if overlap(scope, publisher.scope)), publisher.run_id)
            waiting -= runs.keys()
            if not waiting:
                break
        return runs

    def create_branch(self, name: str) -> int | None:
        """Start a branch at the head of main, or empty in an empty table; return the snapshot that it stands on."""
        self._commit(lambda change: change.createBranch(name))
        self._table.refresh()
        return self.snapshot_id(name)

    def drop_branch(self, name: str) -> None:
        """Remove a branch; its snapshots expire later."""
        self._commit(lambda change: change.removeBranch(name))

    def publish(self, branch: str) -> int:
        """Move main forward to the head of a branch and drop the branch, in one commit; return the snapshot.

        Raises ConflictError, naming the run that won, when main has moved since the branch began.
        """
        head = self.snapshot_id(branch)
        assert head is not None
        try:
            self._commit(lambda change: change.fastForwardBranch(MAIN, branch).removeBranch(branch))
        except IllegalArgumentException as error:
            self._table.refresh()
            winner = self.summary().get(RUN, "unknown")
            raise ConflictError(
                f"table {self._identifier}: others keep publishing to it, run {winner} last. What this run had staged there is "
                f"dropped; run it again once they are done."
            ) from error
        return head

    def read_rows(self, contract: Table, where: Where, snapshot_id: int | None = None) -> list[dict[str, Any]]:
        """The selected rows, of main or of a snapshot, without a job of Spark's; for tables of few rows."""
        if self._table.currentSnapshot() is None:
            return []
        schema = self._schema()
        former = {new: old for new, old in FORMER_NAMES.get(contract.name, {}).items() if new not in schema.names}
        stored = {former.get(column, column): condition for column, condition in where.items()}
        latter = {old: new for new, old in former.items()}
        renamed = pa.schema([field.with_name(latter.get(field.name, field.name)) for field in schema])
        return read_rows(self.data_files(stored, snapshot_id), contract, renamed, where)

    def data_files(self, where: Where, snapshot_id: int | None = None) -> list[str]:
        """The data files, of main or of a snapshot, that may hold selected rows, by path."""
        scan = self._table.newScan().filter(expression(self._jvm, where))
        files = planned_files(scan if snapshot_id is None else scan.useSnapshot(snapshot_id))
        return sorted(str(file.location()) for file in files)

    def count_rows(self, where: Where) -> int | None:
        """How many rows of main are selected, by the table's metadata; None where that does not say it, or of many files."""
        return count_rows(self._jvm, self._table, where) if self.is_of_few_files() else None

    def append_rows(self, contract: Table, rows: Sequence[Row], properties: Mapping[str, str]) -> None:
        """Add rows to main in one commit, without a job of Spark's; `properties` go to the snapshot's summary."""
        change = self._table.newAppend()
        for file in self._write(contract, rows):
            change.appendFile(file)
        _commit_with(change, properties)

    def overwrite_rows(
        self, branch: str, contract: Table, rows: Sequence[Row], where: Where, properties: Mapping[str, str]
    ) -> None:
        """Write rows to a branch in the place of those that are selected, in one commit, without a job of Spark's."""
        self._overwrite(branch, self._write(contract, rows), where, properties)

    def layout(self, partitions: Sequence[Row]) -> FileLayout:
        """How tasks write files of these partitions, whose values are given by column."""
        return layout_of(self._jvm, self._table, self._schema(), partitions)

    def overwrite_files(
        self, branch: str, partitions: Sequence[Row], files: Sequence[WrittenFile], where: Where, properties: Mapping[str, str]
    ) -> None:
        """Add files that tasks wrote by `layout` of the same partitions in the place of the selected rows, in one commit."""
        self._overwrite(branch, data_files(self._jvm, self._table, partitions, files), where, properties)

    def _overwrite(self, branch: str, files: Sequence[Any], where: Where, properties: Mapping[str, str]) -> None:
        change = self._table.newOverwrite().overwriteByRowFilter(expression(self._jvm, where))
        for file in files:
            change.addFile(file)
        _commit_with(change.toBranch(branch), properties)
        self._table.refresh()

    def _write(self, contract: Table, rows: Sequence[Row]) -> list[Any]:
        return write_rows(self._jvm, self._table, self._schema(), contract, rows)

    def _schema(self) -> pa.Schema:
        return arrow_schema(json.loads(self._jvm.org.apache.iceberg.SchemaParser.toJson(self._table.schema())))

    def tag(self, name: str, snapshot_id: int) -> None:
        """Give a snapshot a name that keeps it from being expired."""
        self._commit(lambda change: change.createTag(name, snapshot_id))

    def _commit(self, change: Callable[[Any], Any]) -> None:
        """Commit a change of references, again on the new state whenever another process was faster."""
        faster = f"table {self._identifier}: another process committed first"
        wait = wait_random(0, COMMIT_PAUSE_SECONDS)
        for attempt in retrying(faster, when=_is_overtaken, attempts=COMMIT_ATTEMPTS, wait=wait):
            with attempt:
                self._table.refresh()
                change(self._table.manageSnapshots()).commit()


def _is_overtaken(error: BaseException) -> bool:
    return isinstance(error, Py4JJavaError) and "CommitFailedException" in str(error.java_exception)


def _moment(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def _commit_with(change: Any, properties: Mapping[str, str]) -> None:
    for name, value in properties.items():
        change.set(name, value)
    change.commit()
