"""What a writer of `benchmarks.catalog_writers` does: it appends and overwrites through the project's tables for some seconds.

Of four writes one appends a row by the driver, and one by Spark. One replaces a slot of the writer's own through an audit
branch, as a step does, and one a slot that all writers share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, cycle, takewhile

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.catalog_check import EVENTS, LEDGER, NIGHTS, PARTS, Contents, Kind, Result, WriteOutcome
from pipelines.errors import ConflictError, RingmillError
from pipelines.io.audit import Audit
from pipelines.io.lake import Lake
from schemas.contract import Column, Table

NAMESPACE = "writers"
KINDS: tuple[Kind, ...] = ("rows", "own", "frame", "shared")
OWN_SLOTS = 3
RUN = Column("run", "string", nullable=False)
APPENDED = Table(EVENTS, (RUN,))
REPLACED = [
    Table(name, (Column("slot", "string", nullable=False), RUN, Column("part", "int", nullable=False)), partition_by=("slot",))
    for name in (NIGHTS, LEDGER)
]


def writes(spark: SparkSession, writer: int, seconds: float) -> Iterator[WriteOutcome]:
    """Write for some seconds, and each kind once at least, one write after the other; yields how each ended."""
    deadline = time.monotonic() + seconds
    numbers = takewhile(lambda number: number < len(KINDS) or time.monotonic() < deadline, count())
    for number, kind in zip(numbers, cycle(KINDS), strict=False):
        slot = {"own": f"{writer}-{number % OWN_SLOTS}", "shared": "shared"}.get(kind, "")
        planned = WriteOutcome(writer=writer, number=number, kind=kind, slot=slot, result="succeeded")
        result, error = _result(partial(_write, spark, planned))
        yield planned.model_copy(update={"result": result, "error": error})


def _result(write: Callable[[], None]) -> tuple[Result, str]:
    """How a write ended, and the error in one line."""
    try:
        write()
    except ConflictError as error:
        return "refused", str(error)
    except (RingmillError, Py4JJavaError, PySparkException) as error:
        text = " ".join(str(error).split())[:2000]
        return ("unknown" if "CommitStateUnknown" in text else "failed"), text
    return "succeeded", ""


def _write(spark: SparkSession, outcome: WriteOutcome) -> None:
    lake, run = Lake(spark, NAMESPACE, outcome.run_id), outcome.run_id
    if outcome.kind == "rows":
        lake.append_rows(APPENDED, [{"run": run}])
        return
    if outcome.kind == "frame":
        lake.append(APPENDED, lake.frame(APPENDED, [{"run": run}]))
        return
    nights, ledger = REPLACED
    rows = [{"slot": outcome.slot, "run": run, "part": part} for part in PARTS]
    with Audit(lake, f"night {outcome.slot}") as audit:
        audit.write(nights, lake.frame(nights, rows), F.col("slot") == outcome.slot)
        audit.write_rows(ledger, rows, {"slot": outcome.slot})
        audit.publish()


def contents(spark: SparkSession) -> Contents:
    """Read what the tables have at the end: the runs of main's snapshots, the appended rows, and the rows of each slot."""
    lake = Lake(spark, NAMESPACE, "check")
    slots = {table.name: _slots(lake, table.name) for table in REPLACED}
    return Contents(
        snapshots={name: _runs(lake, name) for name in (EVENTS, NIGHTS, LEDGER)},
        events=[row.run for row in lake.read(EVENTS).collect()],
        slots=slots,
    )


def _slots(lake: Lake, table: str) -> dict[str, list[tuple[str, int]]]:
    rows: dict[str, list[tuple[str, int]]] = {}
    for row in lake.read(table).collect():
        rows.setdefault(row.slot, []).append((row.run, row.part))
    return rows


def _runs(lake: Lake, table: str) -> list[str]:
    """The runs of main's snapshots, oldest first. The first branch of an empty table begins with a snapshot of no run."""
    run = F.coalesce(F.col("summary")["run_id"], F.when(F.col("summary")["added-records"].isNull(), "").otherwise("no run"))
    snapshots = lake.spark.table(f"{lake.identifier(table)}.snapshots").select("snapshot_id", "parent_id", run.alias("run"))
    by_id = {row.snapshot_id: row for row in snapshots.collect()}
    runs, snapshot = [], lake.snapshot_id(table)
    while snapshot is not None:
        runs.append(by_id[snapshot].run)
        snapshot = by_id[snapshot].parent_id
    return [run for run in reversed(runs) if run]
