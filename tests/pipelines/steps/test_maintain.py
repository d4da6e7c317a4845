"""The job maintain on the flights' own tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import DataError
from pipelines.steps import clean, ingest
from pipelines.steps.maintain import STEP, maintain
from tests.pipelines.conftest import Run


def expire_raw(content: dict[str, Any]) -> None:
    """Raw rows go a year after their interval."""
    content["maintain"] = {"raw_days": 365}


@pytest.mark.slow
def test_expired_raw_rows_do_not_take_clean_ones_with_them(run_departures: Run) -> None:
    before = run_departures(ingest.STEP, clean.STEP).lake.read("clean_flights").count()
    context = run_departures(config=expire_raw)
    leftovers = [
        Path(context.all_artifacts) / name for name in ("examples/run_1/part-0", f"models/aliases.json.{'a' * 32}.partial")
    ]
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of a killed run")
        os.utime(path, (0, 0))
    maintain(context, dry=True)
    assert context.lake.read("raw_flights").count() > 0
    assert [path.exists() for path in leftovers] == [True, True]
    run_departures(STEP, config=expire_raw)
    assert [path.exists() for path in leftovers] == [False, False]
    assert context.lake.read("raw_flights").count() == 0
    assert context.lake.read("row_ledger").where("step = 'ingest'").count() == 3
    assert context.lake.read("runs").where("job = 'maintain' and status = 'succeeded'").count() == 1
    with pytest.raises(DataError, match=r"has 0 rows of the interval, ingest landed .* jobs/ingest\.py with --force"):
        run_departures(clean.STEP, force=True)
    assert context.lake.read("clean_flights").count() == before
