"""All rows of a small table revised in one commit, which fails when the table has changed since its rows were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.errors import ConflictError
from pipelines.io.audit import AUDIT_PREFIX
from pipelines.io.driver_rows import Row
from pipelines.io.iceberg import RUN, IcebergTable
from pipelines.io.tables import Lake
from schemas.contract import Table

ATTEMPTS = 20
StoredRow = Mapping[str, Any]
Revision = Callable[[list[dict[str, Any]]], Sequence[Row]]


def revise(lake: Lake, contract: Table, revision: Revision) -> int | None:
    """Replace a table's rows by what `revision` makes of them, in one commit, and return its snapshot; None when the revision
    leaves all rows as they are.

    The rows are read at the snapshot on which a branch begins, and main moves to the branch only while it still is at that
    snapshot. When another run was faster, `revision` is called again with the rows that it left: it raises an error where its
    own change no longer makes sense, which is raised here. Raises ConflictError when others change the table without end.
    """
    lake.create(contract)
    table = IcebergTable(lake.spark, lake.identifier(contract.name))
    for attempt in range(ATTEMPTS):
        try:
            return _attempt(table, contract, revision, lake.run_id, attempt)
        except ConflictError:
            if attempt + 1 == ATTEMPTS:
                raise
            table = IcebergTable(lake.spark, lake.identifier(contract.name))
    raise AssertionError


def _attempt(table: IcebergTable, contract: Table, revision: Revision, run_id: str, attempt: int) -> int | None:
    branch = f"{AUDIT_PREFIX}{run_id}_{contract.name}_{attempt}"
    base = table.create_branch(branch)
    published = False
    try:
        rows = table.read_rows(contract, {}, base)
        revised = revision(rows)
        if list(revised) == rows:
            return None
        table.overwrite_rows(branch, contract, revised, {}, {RUN: run_id})
        snapshot = table.publish(branch)
        published = True
    finally:
        if not published:
            table.drop_branch(branch)
    return snapshot
