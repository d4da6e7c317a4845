"""Done is done, and only that."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime
from functools import partial

import pytest
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.interruption import Interrupted, Interruption
from pipelines.io.iceberg import IcebergTable
from pipelines.runtime.context import Context
from pipelines.runtime.execute import record_interruption
from pipelines.runtime.step import Outcome, Step
from pipelines.steps import ingest
from schemas import tables
from schemas.tables import raw
from tests.pipelines.conftest import Run


def test_a_step_is_done_again_when_a_killed_run_published_a_part_of_it(run_departures: Run) -> None:
    first = run_departures(ingest.STEP)
    killed = run_departures()
    with killed.audit("ingest") as audit:
        empty = killed.lake.read("raw_airlines").where(F.lit(False))
        contract = killed.config.contract("airlines")
        audit.write(raw(contract), empty, killed.in_interval)
        next(audit.publishing())
    assert killed.lake.read("raw_airlines").count() == 0
    healed = run_departures(ingest.STEP)
    assert healed.lake.read("raw_airlines").count() == 16
    assert healed.runs.latest("ingest") is not first.runs.latest("ingest")
    assert {row.run_id for row in healed.lake.read("runs").collect()} == {first.run_id, healed.run_id}
    before = healed.lake.snapshot_id("raw_airlines")
    assert run_departures(ingest.STEP).lake.snapshot_id("raw_airlines") == before


def test_an_interrupted_step_is_recorded_as_such_and_done_again(run_departures: Run) -> None:
    begun: list[str] = []

    def work(context: Context) -> Outcome:
        begun.append(context.run_id)
        if len(begun) == 1:
            raise Interrupted(signal.SIGTERM)
        return Outcome()

    step = Step("probe", (), lambda _: {}, work)
    with pytest.raises(Interrupted) as raised:
        run_departures(step)
    assert raised.value.recorded
    assert run_departures().runs.latest("probe") is None
    with pytest.raises(DataError, match="probe has not been done"):
        run_departures().runs.needed("probe", by="next")
    for _ in range(2):  # the second time there is nothing to do
        context = run_departures(step)
    assert len(begun) == 2
    rows = context.lake.read("runs").orderBy("started_at").collect()
    assert [(row.status, row.error) for row in rows] == [("interrupted", "interrupted by SIGTERM"), ("succeeded", None)]


def test_an_interruption_between_steps_is_recorded_once(run_departures: Run) -> None:
    context, error = run_departures(), Interrupted()
    for _ in range(2):
        record_interruption(context, "pipeline", datetime.now(UTC), error)
    assert [(row.job, row.status) for row in context.lake.read("runs").collect()] == [("pipeline", "interrupted")]


def test_a_signal_during_a_publication_waits_until_every_table_has_it(
    run_departures: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, signals = run_departures(), Interruption()
    monkeypatch.setattr("pipelines.io.audit.PROCESS", signals)
    publish = IcebergTable.publish

    def publish_and_interrupt(table: IcebergTable, branch: str) -> int:
        signals.handle(signal.SIGINT)
        return publish(table, branch)

    monkeypatch.setattr(IcebergTable, "publish", publish_and_interrupt)
    with pytest.raises(Interrupted), context.audit("probe") as audit:  # noqa: PT012
        for contract in (tables.BROKEN_RULES, tables.ROW_LEDGER):
            audit.write_rows(contract, [], context.whose_interval)
        audit.publish()
    for contract in (tables.BROKEN_RULES, tables.ROW_LEDGER):
        table = IcebergTable(context.spark, context.lake.identifier(contract.name))
        assert table.summary()["run_id"] == context.run_id
        assert list(table.references()) == ["main"]


def test_work_that_waits_for_its_turn_does_not_begin_once_a_run_is_interrupted(run_departures: Run) -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise Interrupted
        time.sleep(0.3)

    with pytest.raises(Interrupted):
        run_departures().at_once(*(partial(work, number) for number in range(12)))
    assert len(begun) < 12
