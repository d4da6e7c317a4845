"""Ingest from a JSON API: what lands, what is requested again, and what is spooled in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import DataError, ExternalError
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from tests import faulty_server as faulty
from tests.faulty_server import FaultyApi, read_rows, serving
from tests.pipelines.conftest import Run, runner
from tests.sample import example_over

PAGES = ["1", "2", "3", "4", "5", "6"]


@pytest.fixture
def server(flights_csv: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyApi]:
    """The weather of the real data."""
    with serving(read_rows(flights_csv / "weather.csv"), "time_hour") as api:
        monkeypatch.setenv("WEATHER_AT", api.base)
        yield api


@pytest.fixture
def run(spark: SparkSession, flights_csv: Path, tmp_path: Path) -> Run:
    """Runs steps of the pipeline that has no other source than the weather, which comes from the API."""
    return runner(spark, flights_csv, tmp_path, from_api)


def from_api(folder: Path, name: str, _: object) -> dict[str, Any]:
    """The weather example's configuration over the API."""
    content = example_over(folder, "weather", name)
    content["sources"]["weather"] = {
        "kind": "rest", "url": "${WEATHER_AT}/v1/weather", "params": {"from": "{from}", "to": "{to}"}, "records": "data.items",
        "paging": {"by": "page", "size": 5000}, "total": "total", "retries": 0, "timeout_seconds": 20,
    }  # fmt: skip
    return content


def spool_files(tmp_path: Path) -> list[str]:
    """The names of spooled pages."""
    return sorted(path.name for path in (tmp_path / "warehouse" / "_spool").rglob("*.json"))


@pytest.mark.slow
def test_an_api_lands_as_its_file_would_and_a_run_that_broke_off_is_resumed(
    run: Run, cleaned: Run, server: FaultyApi, tmp_path: Path
) -> None:
    server.script.extend([None, None, faulty.status(503)])
    with pytest.raises(ExternalError, match=r"source weather: .*page=3 failed 1 times, .*503"):
        run(INGEST)
    assert spool_files(tmp_path) == ["page-000001.json", "page-000002.json"]
    context = run(INGEST, CLEAN)
    assert server.requested == ["1", "2", "3", *PAGES[2:]]
    assert (server.requests[0].query["from"], server.requests[0].query["to"]) == (
        "2013-01-01T05:00:00Z",
        "2014-01-01T05:00:00Z",
    )
    assert spool_files(tmp_path) == []
    assert context.lake.read("raw_weather").count() == 26115
    columns = [column.name for column in context.config.contract("weather").columns]
    tables = [run_context.lake.read("clean_weather").select(columns) for run_context in (context, cleaned())]
    assert tables[0].count() == 26114
    assert tables[0].exceptAll(tables[1]).count() == 0
    run(INGEST)
    assert len(server.requests) == 7
    run(INGEST, force=True)
    assert server.requested[7:] == PAGES


@pytest.mark.slow
def test_answers_that_break_the_contract_are_not_kept(run: Run, server: FaultyApi, tmp_path: Path) -> None:
    server.rows[20000]["sunshine"] = 1
    with pytest.raises(DataError, match=r"a row of .*v1/weather has fields that the contract does not know: sunshine"):
        run(INGEST)
    assert spool_files(tmp_path) == []
    assert run().lake.snapshot_id("raw_weather") is None
    del server.rows[20000]["sunshine"]
    assert run(INGEST).lake.read("raw_weather").count() == 26115
