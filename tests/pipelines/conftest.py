"""Flows run in the tests' own session, each test in a namespace of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.config import Pipeline
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.intervals import run_steps
from pipelines.runtime.log_handler import JobHandler, begin_log, end_log
from pipelines.runtime.step import Step
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from schemas.contract import Table
from tests.contexts import quiet_context
from tests.departures import departures
from tests.pipelines.steps import visits
from tests.sample import Row, configured, pipeline, write_sample

Run = Callable[..., Context]
numbers = itertools.count()


@pytest.fixture(autouse=True)
def job_log() -> Iterator[JobHandler]:
    """The log of a job that has begun, as text; a test may set its console. `caplog` has its records, too."""
    yield begin_log("", json_lines=False)
    end_log()


def runner(spark: SparkSession, data: Path, folder: Path, configuration: Callable[..., dict[str, Any]] = configured) -> Run:
    """Runs steps over the sample, which is written to `folder` first: see the fixture `run`."""

    def _run(
        *steps: Step,
        config: Callable[[dict[str, Any]], object] = lambda _: None,
        rows: Callable[[list[Row]], list[Row]] = lambda rows: rows,
        name: str = "flights",
        force: bool = False,
    ) -> Context:
        if not (folder / "flights.csv").exists():
            write_sample(data, folder, rows)
        pipeline_config = Pipeline.model_validate(configuration(folder, f"{name}_{abs(hash(folder)) % 10**8}", config))
        context = quiet_context(spark, pipeline_config, f"run{next(numbers)}")
        for step in steps:
            execute(step, context, force=force)
        return context

    return _run


@pytest.fixture
def run(spark: SparkSession, flights_csv: Path, tmp_path: Path) -> Run:
    """Runs steps over the sample and returns their context: `run(steps, config=..., rows=..., name=...)`.

    `config` edits the configuration, `rows` the sample's flights; runs with the same name share their tables.
    """
    return runner(spark, flights_csv, tmp_path)


@pytest.fixture
def run_departures(spark: SparkSession, flights_csv: Path, tmp_path: Path) -> Run:
    """Like `run`, of the pipeline of departures, which is cheaper."""
    return runner(spark, flights_csv, tmp_path, departures)


@pytest.fixture(scope="session")
def cleaned(spark: SparkSession, flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Like `run`, over the sample as it is, ingested and cleaned once for all tests that leave raw and clean tables alone.

    The tables of the steps after those are what earlier tests left of them.
    """
    shared = runner(spark, flights_csv, tmp_path_factory.mktemp("cleaned"))
    shared(INGEST, CLEAN)
    return shared


@pytest.fixture(scope="session")
def cleaned_departures(spark: SparkSession, flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Like `cleaned`, of the pipeline of departures: its features take a third of the time, since they need no windows."""
    shared = runner(spark, flights_csv, tmp_path_factory.mktemp("departures"), departures)
    shared(INGEST, CLEAN)
    return shared


def visitor(spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs steps of the small pipeline of visits to shops, whose files are in a folder: see the fixture `visit`."""
    (folder / "shops.csv").write_text("shop,town\na,Aachen\nb,Bonn\n")

    def _visit(
        *steps: Step,
        day: int = 1,
        contract: Table = visits.VISITS,
        config: Callable[[dict[str, Any]], object] = lambda _: None,
        force: bool = False,
    ) -> Context:
        def edit(content: dict[str, Any]) -> None:
            content.update(contracts="tests.pipelines.steps.visits", timezone="UTC")
            content["interval"] = {"from": f"2013-05-{day:02}", "to": f"2013-05-{day + 1:02}"}
            path = str(folder / "visits-{from:%m-%d}.csv")
            content["sources"] = {
                "visits": {"kind": "csv", "path": path, "every": "day"},
                "shops": {"kind": "csv", "path": str(folder / "shops.csv")},
            }
            content["clean"]["max_quarantined_share"] = 1
            config(content)

        monkeypatch.setitem(visits.SOURCES, "visits", contract)
        pipeline_config = pipeline(folder, f"visits_{abs(hash(folder)) % 10**8}", edit)
        context = quiet_context(spark, pipeline_config, f"run{next(numbers)}")
        run_steps(steps, context, force=force)
        return context

    return _visit


@pytest.fixture
def visit(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs steps of the small pipeline of visits to shops, one day in May: `visit(steps, day=..., contract=..., config=...)`.

    Each day's visits are in a file of their own, `visits-05-01.csv`; shops are in `shops.csv`.
    """
    return visitor(spark, tmp_path, monkeypatch)
