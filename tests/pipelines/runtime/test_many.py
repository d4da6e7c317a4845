"""Many intervals in one pass: what is written is what the same intervals give one after the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account
from pipelines.config import Interval
from pipelines.errors import ExternalError
from pipelines.io.audit import Audit
from pipelines.io.iceberg import IcebergTable
from pipelines.runtime import many as bulk
from pipelines.runtime.batches import Batch
from pipelines.runtime.context import Context
from pipelines.runtime.intervals import run_intervals
from pipelines.runtime.many import bulk_steps
from pipelines.runtime.step import Step
from pipelines.steps.bulk.expectations import broken_of
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.ingest import STEP as INGEST
from schemas.contract import LANDING_ORDER, Column, Freshness, Outliers, Volume
from tests.pipelines.conftest import Run
from tests.pipelines.steps.visits import VISITS

DAYS = [Interval(start=datetime(2013, 5, n, tzinfo=UTC), end=datetime(2013, 5, n + 1, tzinfo=UTC)) for n in (1, 2, 3, 4)]
CONTRACT = replace(VISITS, latest_by=(LANDING_ORDER,), freshness=Freshness(8, "warn"), unique=(("at", "shop"),))
VISITS_OF = {
    1: ["1,2013-05-01 10:00,50,a", "2,2013-05-01 11:00,5,b", "2,2013-05-01 11:00,5,b", "x,2013-05-01 12:00,5,b", "3,4"],
    2: ["3,2013-05-02 20:00,5,a", "1,2013-05-01 10:00,7,a", "4,2013-05-02 20:00,6,a", "5,2013-05-02 21:00,1,z"],
    3: ["6,2013-05-03 10:00,5,", "7,2013-04-30 23:00,5,a", "8,2013-05-03 11:00,5,b"],
    4: ["9,2013-05-04 22:00,5,b", "1,2013-05-01 10:00,6,b", "9,2013-05-04 22:00,4,b"],
}
WRITTEN = ("raw_visits", "raw_shops", "clean_visits", "clean_shops", "quarantine", "broken_rules", "row_ledger")
OF_THE_RUN = ("run_id", "source_row")


def rows_of(context: Context, table: str) -> Counter[str]:
    """A table's rows as JSON, without what differs from run to run."""
    rows = context.lake.read(table)
    columns = [
        name for name in rows.columns if name not in OF_THE_RUN and not (name == LANDING_ORDER and table != "clean_visits")
    ]
    # Of the landing order the last number counts on from any; the one before, and the file, are those of the row.
    order = {LANDING_ORDER: F.substring_index(LANDING_ORDER, " ", 4)} if LANDING_ORDER in columns else {}
    text = F.to_json(F.struct(*columns)).alias("row")
    return Counter(row["row"] for row in rows.withColumns(order).select(text).collect())


@pytest.mark.slow
def test_many_intervals_are_written_as_one_after_the_other(
    visit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def write(numbers: Sequence[int]) -> None:
        for number in numbers:
            (tmp_path / f"visits-05-{number:02}.csv").write_text("\n".join(["id,at,spent,shop", *VISITS_OF[number]]) + "\n")

    def run(name: str, **options: Any) -> Context:
        context = visit(contract=CONTRACT, config=lambda content: content.update(pipeline=name))
        run_intervals([INGEST, CLEAN], context, DAYS, force=False, **options)
        return context

    monkeypatch.setattr(bulk, "FEWEST", 2)
    write([1, 2, 3])
    with pytest.raises(ExternalError, match=r"no file at .*visits-05-04\.csv"):
        run("at_once")
    write([4])
    context = run("at_once")
    log = "\n".join(caplog.messages)
    assert "ingest: nothing to do for 3 of 4 intervals" in log
    assert "3 intervals, visits 5, shops 6" in log  # those before the missing file
    assert "clean: nothing to do for 2 of 4 intervals" in log  # the first has a late row in the fourth's file
    corrected = context.lake.read("clean_visits").where("id = 1").collect()
    assert [(row.spent, row.shop, row.interval_from) for row in corrected] == [(6, "b", datetime(2013, 5, 1))]
    runs = context.lake.read("runs").where("job = 'clean' and status = 'succeeded'").collect()
    assert len({row.interval_from for row in runs}) == 4
    assert all(json.loads(row.outputs).keys() >= {"clean_visits", "row_ledger"} for row in runs)

    before = context.lake.snapshot_id("row_ledger")
    assert run("at_once").lake.snapshot_id("row_ledger") == before
    monkeypatch.setattr(bulk, "FEWEST", 99)
    in_turn = run("in_turn")
    for table in WRITTEN:
        assert rows_of(context, table) == rows_of(in_turn, table), table
    # A run of one of them alone takes its place, and is not the batch's any more.
    alone = visit(INGEST, CLEAN, day=2, contract=CONTRACT, config=lambda c: c.update(pipeline="at_once"), force=True)
    for table in WRITTEN:
        assert rows_of(alone, table) == rows_of(in_turn, table), table


def test_a_batch_is_named_by_its_intervals_and_replaces_their_spans(visit: Run) -> None:
    context = visit()
    batch = Batch(context, (DAYS[0], DAYS[1], DAYS[3]))
    assert batch.spans == [(DAYS[0].start, DAYS[1].end), (DAYS[3].start, DAYS[3].end)]
    rows = context.spark.sql(
        "select timestamp'2013-05-01 23:59:59.999999' as at, 0 as interval_from, 0 as interval_to union all "
        "select timestamp'2013-05-02 00:00:00', 0, 0 union all select timestamp'2013-05-03 12:00:00', 0, 0"
    )
    located = batch.of_time(rows, F.col("at")).orderBy("at").select(F.day("at"), F.day("interval_from"), F.day("interval_to"))
    assert [tuple(row) for row in located.collect()] == [(1, 1, 2), (2, 2, 3)]


def test_steps_that_need_an_interval_of_their_own_go_in_turn(visit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    context = visit()
    assert not bulk_steps([INGEST, CLEAN], context, DAYS)  # too few to be worth it
    monkeypatch.setattr(bulk, "FEWEST", 2)
    assert bulk_steps([INGEST, CLEAN], context, DAYS) == [INGEST, CLEAN]
    assert not bulk_steps([INGEST, CLEAN, FEATURES], context, DAYS)
    clipped = tuple(Column("spent", "double", outliers=Outliers("clip")) if c.name == "spent" else c for c in VISITS.columns)
    fenced = visit(contract=replace(VISITS, columns=clipped))
    assert bulk_steps([INGEST], fenced, DAYS) == [INGEST]
    assert not bulk_steps([INGEST, CLEAN], fenced, DAYS)


def test_an_interval_of_a_batch_is_compared_with_those_before_it(visit: Run) -> None:
    context, contract = visit(), replace(VISITS, volume=Volume(0.5, 1.5, 2, "warn"))
    batch = Batch(context, tuple(DAYS))
    of = dict(zip(batch.bounds, (Account("clean", "visits", n + 1, n, filtered=1) for n in (9, 14, 20, 8)), strict=True))
    nothing = context.spark.sql(
        "select current_timestamp() as interval_from, current_timestamp() as interval_to, 'clean' as __verdict, "
        "array(named_struct('name', '', 'severity', '', 'message', '')) as __found where false"
    )
    broken = broken_of(batch, contract, nothing, of, {})
    assert [[(each.rows, each.example.partition(" (")[0]) for each in promises] for promises in broken.values()] == [
        [],  # nothing is promised of the first
        [(14, "volume: expected 4 to 14 rows")],  # half to one and a half of 9
        [(20, "volume: expected 6 to 17 rows")],  # of 11.5, the median of 9 and 14
        [(8, "volume: expected 8 to 26 rows")],  # of 17, that of 14 and 20
    ]


class KilledError(BaseException):
    """Stands for a process that is gone: nothing catches it, and nothing is cleaned up after it."""


@pytest.mark.slow
def test_what_killed_batches_and_covering_intervals_left_is_replaced(
    visit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, lines in VISITS_OF.items():
        (tmp_path / f"visits-05-{number:02}.csv").write_text("\n".join(["id,at,spent,shop", *lines]) + "\n")
    whole = Interval(start=DAYS[0].start, end=DAYS[-1].end)
    publish, remaining = IcebergTable.publish, 0

    def dying(table: IcebergTable, branch: str) -> int:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            raise KilledError
        return publish(table, branch)

    def run(step: Step, intervals: Sequence[Interval], published: int = 99) -> Context:
        nonlocal remaining
        context, remaining = visit(contract=CONTRACT), published
        run_intervals([step], context.over(intervals[0]), intervals, force=False)
        return context

    monkeypatch.setattr(bulk, "FEWEST", 2)
    monkeypatch.setattr(IcebergTable, "publish", dying)
    for intervals in (DAYS, [whole]):
        for step, published in ((INGEST, 2), (CLEAN, 3)):
            with monkeypatch.context() as patch:
                patch.setattr(Audit, "__exit__", lambda *_: None)  # its branches stay
                with pytest.raises(KilledError):
                    run(step, intervals, published)
            context = run(step, intervals)
        ids = sorted(row.id for row in context.lake.read("clean_visits").collect())
        assert ids == [1, 2, 4, 6, 8, 9]  # of 3 and 4, at the same time in the same shop, the one that landed last
        ledger = context.lake.read("row_ledger").groupBy("step", "source").count().collect()
        assert {(row.step, row.source): row["count"] for row in ledger} == {
            (step, source): len(intervals) for step in ("ingest", "clean") for source in ("visits", "shops")
        }
        assert context.lake.read("raw_visits").count() == 15
        assert context.lake.read("clean_shops").count() == 2 * len(intervals)
        assert context.lake.read("quarantine").count() == 4
