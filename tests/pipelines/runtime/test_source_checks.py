"""The example configuration of three kinds of source gives the tables that files give."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
import yaml

from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from tests.pipelines.conftest import Run
from tests.root import ROOT

SOURCES = ("flights", "weather", "planes", "airports", "airlines")


@pytest.mark.slow
def test_files_a_database_and_an_api_give_the_tables_that_files_give(
    run: Run, cleaned: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "setup"))
    setup = importlib.import_module("run_sources")
    names = ("RINGMILL_POSTGRES_PORT", "RINGMILL_POSTGRES_PASSWORD", "RINGMILL_WEATHER_URL", "RINGMILL_WEATHER_TOKEN")
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is put back at the end

    def of_three_kinds(content: dict[str, Any]) -> None:
        content["sources"].update(yaml.safe_load((ROOT / "conf" / "flights_sources.yaml").read_text())["sources"])

    with setup.sources():
        mixed = run(INGEST, CLEAN, config=of_three_kinds, name="mixed")
    for source in SOURCES:
        ours, theirs = (context.lake.read(f"clean_{source}").drop("run_id") for context in (mixed, cleaned()))
        assert ours.exceptAll(theirs).count() == theirs.exceptAll(ours).count() == 0
        assert ours.count() > 0
    kinds = {row.source_file.split(":")[0] for s in SOURCES for row in mixed.lake.read(f"raw_{s}").limit(1).collect()}
    assert kinds == {"file", "jdbc", "http"}
    del sys.modules["run_sources"]
