"""The job maintain on the flights' own tables."""

from __future__ import annotations

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
def test_expired_raw_rows_do_not_take_clean_ones_with_them(run: Run) -> None:
    before = run(ingest.STEP, clean.STEP).lake.read("clean_flights").count()
    context = run(config=expire_raw)
    maintain(context, dry=True)
    assert context.lake.read("raw_flights").count() > 0
    run(STEP, config=expire_raw)
    assert context.lake.read("raw_flights").count() == 0
    assert context.lake.read("row_ledger").where("step = 'ingest'").count() == 5
    assert context.lake.read("runs").where("job = 'maintain' and status = 'succeeded'").count() == 1
    with pytest.raises(DataError, match=r"has 0 rows of the interval, ingest landed .* jobs/ingest\.py with --force"):
        run(clean.STEP, force=True)
    assert context.lake.read("clean_flights").count() == before
