"""What a Spark event log says of table scans: rows that each scan of each table really gave."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Scan(NamedTuple):
    """One table, as the plans of one job group read it."""

    table: str
    scans: int
    rows: int


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """The events of the one application whose uncompressed log is under `folder`."""
    for path in sorted(folder.rglob("events_*")):
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def table_scans(folder: Path) -> dict[str, list[Scan]]:
    """By job description: each table that was scanned, by how many scan nodes that ran, and the rows that they gave.

    A plan in the cache keeps its nodes, so what is read from the cache does not count again.
    """
    tables: dict[int, str] = {}
    step_of: dict[int, str] = {}
    rows: Counter[int] = Counter()
    step = ""
    for event in read_events(folder):
        kind = event["Event"].rpartition(".")[2]
        if kind == "SparkListenerJobStart":
            step = event.get("Properties", {}).get("spark.job.description", "")
        if kind in ("SparkListenerSQLExecutionStart", "SparkListenerSQLAdaptiveExecutionUpdate"):
            for node in _nodes(event["sparkPlanInfo"]):
                if node["nodeName"].startswith("BatchScan"):
                    metric = next(m for m in node["metrics"] if m["name"] == "number of output rows")
                    tables[metric["accumulatorId"]] = node["nodeName"].split()[1].rpartition(".")[2]
        if kind == "SparkListenerTaskEnd":
            for update in event["Task Info"]["Accumulables"]:
                if update["ID"] in tables and update.get("Update") is not None:
                    rows[update["ID"]] += int(update["Update"])
                    step_of.setdefault(update["ID"], step)
    by_step: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for metric, count in rows.items():
        by_step[step_of[metric]][tables[metric]].append(count)
    return {
        name: [Scan(table, len(counts), sum(counts)) for table, counts in sorted(scans.items())]
        for name, scans in by_step.items()
    }


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan["children"]:
        yield from _nodes(child)
