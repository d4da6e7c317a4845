"""Flows run in the tests' own session, each test in a namespace of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipelines.flows.context import Context, Step
from pipelines.flows.execute import execute
from pipelines.flows.runs import RunLog
from pipelines.io.tables import Lake
from tests.sample import Row, pipeline, write_sample

Run = Callable[..., Context]
numbers = itertools.count()


@pytest.fixture
def run(spark: SparkSession, flights_csv: Path, tmp_path: Path) -> Run:
    """Runs steps over the sample and returns their context: `run(steps, config=..., rows=..., name=...)`.

    `config` edits the configuration, `rows` the sample's flights; runs with the same name share their tables.
    """

    def _run(
        *steps: Step,
        config: Callable[[dict[str, Any]], object] = lambda _: None,
        rows: Callable[[list[Row]], list[Row]] = lambda rows: rows,
        name: str = "flights",
        force: bool = False,
    ) -> Context:
        if not (tmp_path / "flights.csv").exists():
            write_sample(flights_csv, tmp_path, rows)
        made = pipeline(tmp_path, f"{name}_{abs(hash(tmp_path)) % 10**8}", config)
        lake = Lake(spark, made.pipeline, f"run{next(numbers)}")
        interval = made.interval.located(made.timezone)
        context = Context(made, interval, spark, lake, RunLog(lake, interval), Console(quiet=True))
        for step in steps:
            execute(step, context, force=force)
        return context

    return _run
