"""Rows revised by several at once: no revision is lost, and each sees what the one before left."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipelines.errors import ConflictError
from pipelines.io.lake import Lake
from pipelines.io.revisions import revise
from schemas.contract import Column, Table

COUNTS = Table("counts", (Column("name", "string", nullable=False), Column("n", "int", nullable=False)))


def test_revisions_at_once_all_land_one_after_the_other(lake: Lake) -> None:
    first = threading.Barrier(3)
    calls: dict[str, int] = {}

    def add(name: str) -> None:
        def revision(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            calls[name] = calls.get(name, 0) + 1
            if calls[name] == 1:
                first.wait(timeout=60)  # all have read the same rows
            return [*rows, {"name": name, "n": len(rows)}]

        revise(Lake(lake.spark, lake.namespace, name), COUNTS, revision)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, ("run_a", "run_b", "run_c")))
    rows = lake.rows(COUNTS, {})
    assert sorted(row["n"] for row in rows) == [0, 1, 2]
    assert {row["name"] for row in rows} == {"run_a", "run_b", "run_c"}
    assert sum(calls.values()) > 3  # those that lost were called again
    assert [row.name for row in lake.spark.table(f"{lake.identifier('counts')}.refs").collect()] == ["main"]


def test_a_revision_that_changes_nothing_or_fails_leaves_no_trace(lake: Lake) -> None:
    assert revise(lake, COUNTS, lambda _: [{"name": "a", "n": 1}]) is not None
    before = lake.snapshot_id("counts")
    assert revise(lake, COUNTS, lambda rows: rows) is None

    def refuse(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raise ConflictError("another run was faster")

    with pytest.raises(ConflictError, match="another run was faster"):
        revise(lake, COUNTS, refuse)
    assert lake.snapshot_id("counts") == before
    assert [row.name for row in lake.spark.table(f"{lake.identifier('counts')}.refs").collect()] == ["main"]
