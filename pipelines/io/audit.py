"""Writes to audit branches, published table by table so that of runs at work on one scope one wins every table.

Any number of runs may publish at once. What a run replaces is its *scope*, a text such as "clean 2013-01-01 to 2014-01-01",
which each of its snapshots carries. Runs of different scopes all land. For one scope, every run publishes its tables in one
order, and the run whose snapshot of the scope is the newest on the first table owns it: it carries on over whatever others
publish, and they give up as soon as they meet it. The last run to publish the first table so ends up with every table.

Scopes of intervals may overlap without being equal (pipelines.io.scopes). A run replaces all rows of the intervals within its
own, so it may publish over those. It gives up for one that is not within its own: before it publishes the first table, when the
newest overlapping snapshot there is of such a one, and else as soon as it meets it, like a run of the same scope.

Why that holds: call this run the owner. It meets only others that have published the first table before it, so it never gives
up, and publishes each table once. Whoever would publish a table after it needs a branch that began on the owner's snapshot:
staged so late, it would publish the first table after the owner, which nobody does; staged anew on top of it, it looks at what
came since, sees the owner, and gives up. Of overlapping scopes none but one that covers the owner's publishes the first table
after the owner. That one replaces what the owner has published, and the owner gives up when it meets it at the rest.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import TracebackType

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame

from pipelines.errors import ConflictError
from pipelines.interruption import PROCESS
from pipelines.io.driver_rows import Row, Where
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from pipelines.io.publishers import RUN, SCOPE, Publisher
from pipelines.io.scopes import covers
from pipelines.io.staging import Staged, branch_writer, check_same_rows, on_branch, selects
from pipelines.io.task_files import FileLayout, WrittenFile
from schemas.contract import Table
from schemas.tables import ROW_LEDGER

LOG = logging.getLogger(__name__)
AUDIT_PREFIX = "audit_"
PUBLISH_ATTEMPTS = 20


class Audit:
    """Writes to audit branches. `publish` shows them all; leaving without it drops them all, and main stays as it was.

    `scope` names what the writes replace, and `shown` names it in messages.
    """

    def __init__(self, lake: Lake, scope: str, shown: str | None = None) -> None:
        self._lake = lake
        self._scope = scope
        self._shown = shown or scope
        self._staged: dict[str, Staged] = {}
        self._branches: set[tuple[str, str]] = set()

    def write(self, contract: Table, frame: DataFrame, replace: SparkColumn) -> int:
        """Write rows to the table's audit branch in the place of those that `replace` selects; return how many.

        The frame is brought to the contract's columns; columns that only the table still has become null. The count is
        Iceberg's own, of the rows in the files.
        """
        self._lake.create(contract)
        branch = f"{AUDIT_PREFIX}{self._lake.run_id}"
        return self._write(contract, frame, replace, branch, self._begin(contract.name, branch)).rows

    def write_rows(self, contract: Table, rows: Sequence[Row], where: Where) -> int:
        """The same of a few rows that the driver holds, in the place of those that `where` selects; return how many."""
        self._lake.create(contract)
        branch = f"{AUDIT_PREFIX}{self._lake.run_id}"
        staged = Staged(contract, branch, self._begin(contract.name, branch), selects(where), rows=0)
        properties = {RUN: self._lake.run_id, SCOPE: self._scope}
        self._table(contract.name).overwrite_rows(branch, contract, rows, where, properties)
        return self._count(staged).rows

    def write_files(
        self,
        contract: Table,
        partitions: Sequence[Row],
        where: Where,
        write: Callable[[FileLayout], Sequence[WrittenFile]],
    ) -> int:
        """Commit the files that `write` writes by the layout of these partitions; return how many rows they have.

        They take the place of the rows that `where` selects. Nothing is committed when `write` fails.
        """
        self._lake.create(contract)
        branch = f"{AUDIT_PREFIX}{self._lake.run_id}"
        staged = Staged(contract, branch, self._begin(contract.name, branch), selects(where), rows=0)
        table, properties = self._table(contract.name), {RUN: self._lake.run_id, SCOPE: self._scope}
        table.overwrite_files(branch, partitions, write(table.layout(partitions)), where, properties)
        return self._count(staged).rows

    def add(self, contract: Table, frame: DataFrame) -> int:
        """Write more rows beside those that are staged in a table; return how many."""
        staged = self._staged[contract.name]
        branch_writer(self._lake, self._scope, staged, frame).append()
        return self._count(staged).rows - staged.rows

    def rows_by_interval(self, contract: Table) -> dict[tuple[datetime, datetime], int]:
        """How many rows were staged in a table by interval, as Iceberg counted them in the files written."""
        staged = self._staged[contract.name]
        return self._table(contract.name).added_by_interval(staged.branch)

    def read(self, contract: Table) -> DataFrame:
        """A staged table as it will be once published."""
        return self._lake.spark.table(on_branch(self._lake, self._staged[contract.name]))

    def publish(self) -> dict[str, int]:
        """Make the staged tables visible, one commit each, by name and the ledger last; return their new snapshots.

        A table to which a run of another scope has published meanwhile is staged anew on top of that. Raises ConflictError,
        which names the winner, when another run of this scope takes the tables, or when others publish without end. A signal
        that comes meanwhile waits until all tables are published.
        """
        with PROCESS.shielded():
            return dict(self.publishing())

    def publishing(self) -> Iterator[tuple[str, int]]:
        """The same, a table at a time."""
        names = sorted(self._staged, key=lambda name: (name == ROW_LEDGER.name, name))
        for name in names:
            yield name, self._publish(name, names[0])
        if names:
            self._check_owner(names[0])  # taken over since: the other is at work on the rest, or has done it

    def _publish(self, name: str, first: str) -> int:
        for attempt in range(1, PUBLISH_ATTEMPTS + 1):
            staged = self._staged[name]
            if name == first:
                self._check_covered(staged)
            clock = time.monotonic()
            try:
                snapshot = self._table(name).publish(staged.branch)
            except ConflictError:
                if attempt == PUBLISH_ATTEMPTS:
                    raise
                LOG.debug("table %s: another run published first; attempt %d of %d", name, attempt + 1, PUBLISH_ATTEMPTS)
                self._rebase(staged, first, attempt)
            else:
                seconds = time.monotonic() - clock
                LOG.debug("table %s: %s rows published as snapshot %d, %.2f s", name, f"{staged.rows:,}", snapshot, seconds)
                break
        self._branches.discard((name, staged.branch))
        return snapshot

    def _rebase(self, staged: Staged, first: str, attempt: int) -> None:
        """Write the same rows again, from where main is now; raises AccountingError when they are not as many."""
        name, branch = staged.contract.name, f"{AUDIT_PREFIX}{self._lake.run_id}_{attempt}"
        base = self._begin(name, branch)
        # Asked of what the new branch stands on: whatever is published from here on, the next attempt meets.
        winner = self._table(name).publisher(self._scope, head=base, since=staged.base)
        if winner is not None:
            self._check_owner(first)
        rows = self._lake.spark.table(on_branch(self._lake, staged)).where(staged.replace)
        rewritten = self._write(staged.contract, rows, staged.replace, branch, base)
        self._drop(name, staged.branch)
        check_same_rows(staged, rewritten)

    def _check_covered(self, staged: Staged) -> None:
        """Raise ConflictError when the newest rows of this scope, where the branch began, are of one that it does not cover."""
        newest = self._table(staged.contract.name).publisher(self._scope, head=staged.base) if staged.base else None
        if newest and not covers(self._scope, newest.scope):
            raise self._overtaken(newest)

    def _check_owner(self, first: str) -> None:
        """Raise ConflictError when this run is not the last that published rows of its scope to the first table."""
        owner = self._table(first).publisher(self._scope)
        if owner is None or owner.run_id != self._lake.run_id:
            raise self._overtaken(owner)

    def _overtaken(self, by: Publisher | None) -> ConflictError:
        """What to raise since another run published rows of this scope."""
        if by and by.scope != self._scope:
            return ConflictError(
                f"run {by.run_id} published an interval that overlaps this one ({self._shown}) and does not lie within it, or "
                f"began to; what this run had staged is dropped. Once that run has ended, run the same command again: it says "
                f"which interval is there. If that run was killed, run its command again first."
            )
        return ConflictError(
            f"run {by and by.run_id} published the same ({self._shown}) while this run was at work on it, and all tables are "
            f"that run's; what this one had staged is dropped. Nothing is to be fixed: the same command again finds nothing to "
            f"do, or replaces the rows."
        )

    def _begin(self, name: str, branch: str) -> int | None:
        """Start a branch; return the snapshot that it stands on."""
        base = self._table(name).create_branch(branch)
        self._branches.add((name, branch))
        return base

    def _drop(self, name: str, branch: str) -> None:
        self._table(name).drop_branch(branch)
        self._branches.discard((name, branch))

    def _write(self, contract: Table, frame: DataFrame, replace: SparkColumn, branch: str, base: int | None) -> Staged:
        staged = Staged(contract, branch, base, replace, rows=0)
        branch_writer(self._lake, self._scope, staged, frame).overwrite(replace)
        return self._count(staged)

    def _count(self, staged: Staged) -> Staged:
        added = int(self._table(staged.contract.name).summary(staged.branch).get("added-records", "0"))
        self._staged[staged.contract.name] = dataclasses.replace(staged, rows=staged.rows + added)
        return self._staged[staged.contract.name]

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, branch in sorted(self._branches):
            self._drop(name, branch)

    def _table(self, name: str) -> IcebergTable:
        return IcebergTable(self._lake.spark, self._lake.identifier(name))
