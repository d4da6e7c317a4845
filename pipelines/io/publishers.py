"""Which runs published a table's snapshots, and what each replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

RUN, SCOPE = "run_id", "scope"  # what a snapshot's summary says of the run that made it, and of what that replaced


class Publisher(NamedTuple):
    """The run that made a snapshot, and the scope that the snapshot replaced."""

    run_id: str
    scope: str


def publishers_of(table: Any, head: int | None = None, since: int | None = None) -> Iterator[Publisher]:
    """Who made the snapshots of an Iceberg table up to `head` (of main, when None) and after `since`, the newest first."""
    snapshot = table.currentSnapshot() if head is None else table.snapshot(head)
    while snapshot is not None and snapshot.snapshotId() != since:
        summary = snapshot.summary()
        if (written := summary.get(SCOPE)) is not None:
            yield Publisher(str(summary.get(RUN)), str(written))
        parent = snapshot.parentId()
        snapshot = None if parent is None else table.snapshot(parent)
