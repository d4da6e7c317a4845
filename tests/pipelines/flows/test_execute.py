"""Done is done, and only that."""

from __future__ import annotations

from pyspark.sql import functions as F

from pipelines.flows import ingest
from schemas.lake import raw
from tests.pipelines.flows.conftest import Run


def test_a_step_is_done_again_when_a_killed_run_published_a_part_of_it(run: Run) -> None:
    first = run(ingest.STEP)
    killed = run()
    with killed.audit("ingest") as audit:
        empty = killed.lake.read("raw_airlines").where(F.lit(False))
        contract = killed.config.contract("airlines")
        audit.stage(raw(contract), empty, killed.in_interval)
        next(audit.publishing())
    assert killed.lake.read("raw_airlines").count() == 0
    healed = run(ingest.STEP)
    assert healed.lake.read("raw_airlines").count() == 16
    assert healed.runs.latest("ingest") is not first.runs.latest("ingest")
    assert {row.run_id for row in healed.lake.read("runs").collect()} == {first.run_id, healed.run_id}
    before = healed.lake.snapshot_id("raw_airlines")
    assert run(ingest.STEP).lake.snapshot_id("raw_airlines") == before
