"""All rows of a small table revised in one commit, which fails when the table has changed since its rows were read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.errors import ConflictError
from pipelines.io.audit import AUDIT_PREFIX
from pipelines.io.driver_rows import Row
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from pipelines.io.publishers import RUN
from schemas.contract import Table

LOG = logging.getLogger(__name__)
ATTEMPTS = 20
Revision = Callable[[list[dict[str, Any]]], Sequence[Row]]


def revise(lake: Lake, contract: Table, revision: Revision) -> int | None:
    """Replace a table's rows by what `revision` makes of them, in one commit, and return its snapshot; None when the revision
    leaves all rows as they are.

    The rows are read at the snapshot on which a branch begins, and main moves to the branch only while it still is at that
    snapshot. When another run was faster, `revision` is called again with the rows that it left: it raises an error where its
    own change no longer makes sense, which is raised here. Raises ConflictError when others change the table without end.
    """
    lake.create(contract)
    for attempt in range(ATTEMPTS):
        table = IcebergTable(lake.spark, lake.identifier(contract.name))
        branch = f"{AUDIT_PREFIX}{lake.run_id}_{contract.name}_{attempt}"
        base = table.create_branch(branch)
        published = None
        try:
            rows = table.read_rows(contract, {}, base)
            revised = revision(rows)
            if list(revised) == rows:
                LOG.debug("table %s: all rows stay as they are", contract.name)
                return None
            table.overwrite_rows(branch, contract, revised, {}, {RUN: lake.run_id})
            published = _publish(table, branch, is_last=attempt + 1 == ATTEMPTS)
        finally:
            if published is None:
                table.drop_branch(branch)
        if published is not None:
            LOG.debug("table %s: %d rows revised as snapshot %d", contract.name, len(revised), published)
            return published
        LOG.debug("table %s: another run was faster; attempt %d of %d", contract.name, attempt + 2, ATTEMPTS)
    raise AssertionError


def _publish(table: IcebergTable, branch: str, *, is_last: bool) -> int | None:
    """Move main to the branch; None when main has moved meanwhile, unless that was the last attempt."""
    try:
        return table.publish(branch)
    except ConflictError:
        if is_last:
            raise
        return None
