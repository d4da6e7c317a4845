"""A few nights of the example: what is landed and cleaned night by night is what the same files give at once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipelines.config import read_config
from pipelines.runtime.log_handler import begin_log, end_log
from setup.run_nightly import Nights, matches_whole, play, write_files
from tests.root import ROOT

NIGHTS = Nights(played=4, late=1, corrected=2, misspelt=2, replayed=3)


@pytest.mark.slow
def test_nights_with_late_corrected_and_replayed_flights_end_as_one_interval_does(
    spark: SparkSession, flights_csv: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    write_files(flights_csv, tmp_path, NIGHTS, every=20)
    config = read_config(ROOT / "conf" / "flights_nightly.yaml")
    folders = {"flights": tmp_path, "weather": tmp_path}
    sources = {}
    for name, section in config.sources.items():
        path = folders.get(name, flights_csv) / Path(section.model_dump()["path"]).name
        sources[name] = section.model_copy(update={"path": str(path)})
    clean = config.clean.model_copy(update={"max_quarantined_share": 0.2})
    config = config.model_copy(update={"sources": sources, "clean": clean, "pipeline": "nights"})
    console = begin_log("nightly", json_lines=False).console = Console(file=io.StringIO(), width=200)
    request.addfinalizer(end_log)
    play(spark, config, NIGHTS, console, learns=False)
    assert matches_whole(spark, config, NIGHTS, console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert output.count("rows came late for 2013-01-01 00:00 to 2013-01-02 00:00, which is done again") == 1  # the late ones
    assert output.count("rows came late for 2013-01-02 00:00 to 2013-01-03 00:00, which is done again") == 1  # the corrections
    assert "replay: flights: 5 rows pass now, 0 do not" in output
