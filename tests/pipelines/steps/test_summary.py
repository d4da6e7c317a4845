"""Each job ends with its own rows and metrics, read from the tables."""

from __future__ import annotations

import io
import re
import time
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run as RunRow
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.summary import print_job
from schemas import tables
from tests.pipelines.conftest import Run


@pytest.fixture
def visited(visit: Run, tmp_path: Path) -> Context:
    """Three visits landed and cleaned, of which one breaks its contract."""
    rows = "id,at,spent,shop\n" + "".join(f"{row}\n" for row in VISITS)
    (tmp_path / "visits-05-01.csv").write_text(rows)
    context: Context = visit(INGEST, CLEAN)
    return context


VISITS = ("1,2013-05-01 10:00:00,1.5,a", "2,2013-05-01 11:00:00,2.5,b", "3,2013-05-01 12:00:00,wrong,b")


def printed_words(context: Context, job: str) -> list[list[str]]:
    """What a job prints at its end, as words by line."""
    text = io.StringIO()
    print_job(job, replace(context, console=Console(file=text, width=160, highlight=False)), time.monotonic(), Namespace())
    return [line.split() for line in text.getvalue().splitlines() if re.search(r"\w", line)]


def add_run(context: Context, job: str, **artifacts: str) -> None:
    """A successful run of a job, as its row in `runs`."""
    row = {"run_id": context.run_id, "pipeline": context.config.pipeline, "job": job, "status": "succeeded"}
    of_code = {"fingerprint": "", "config_hash": "", "code_version": "", "started_at": datetime.now(UTC), "seconds": 2.0}
    context.runs.add(RunRow(**row, **of_code, artifacts=artifacts))  # type: ignore[arg-type]


def test_each_job_ends_with_its_own_rows_and_metrics(visited: Context) -> None:
    lines = printed_words(visited, "ingest")
    assert ["ingest", "visits", "3", "3", "0", "0", "0"] in lines
    assert [line for line in lines if line[0] == "clean"] == []
    assert ["clean", "visits", "3", "2", "1", "0", "0"] in printed_words(visited, "clean")
    assert [line[0] for line in lines[-2:]] == ["Seconds", "Tables"]
    _check_search_and_drift(visited)


def _check_search_and_drift(visited: Context) -> None:
    """A search ends with its trials, drift with what moved most; their tables are written by hand."""
    base = {"run_id": visited.run_id, "state": "done", "values": "{}", "epochs": 2, "monitor": "validation_auc", "seconds": 1.0}
    tried = [{**base, "trial": n, "best_epoch": 1, "value": v, "promoted": n == 2} for n, v in ((1, 0.7), (2, 0.9))]
    visited.lake.append_rows(tables.SEARCH_TRIALS, tried)
    start, end = visited.bounds
    of_run = {
        "run_id": visited.run_id,
        "interval_from": start,
        "interval_to": end,
        "reference_run_id": "r",
        "compared": "interval",
    }
    moved = [{**of_run, "feature": name, "psi": psi, "ks": None, "missing": 0.25} for name, psi in (("a", 0.1), ("b", 0.3))]
    visited.lake.append_rows(tables.DRIFT_METRICS, moved)
    epoch = {"train_loss": 0.5, "validation_loss": 0.4, "validation_auc": 0.9, "learning_rate": 0.1, "rows": 3, "steps": 1}
    history = {"run_id": visited.run_id, "epoch": 0, "best": True, "seconds": 1.0, "rows_per_second": 3.0, **epoch}
    visited.lake.append_rows(tables.TRAINING_HISTORY, [history])
    add_run(visited, "train", model="/m")
    add_run(visited, "drift", report="/r/drift.html")
    search = printed_words(visited, "search")
    assert ["2", "done", "2", "2", "validation_auc", "0.9000", "1.0", "kept"] in search
    assert ["1", "0.5000", "0.4000", "0.9000", "1.0e-01", "3", "kept"] in search
    assert search[-1] == ["Model", "/m"]
    drift = printed_words(visited, "drift")
    assert [line for line in drift if line[0] in ("a", "b")] == [["b", "0.300", "+25.0%"], ["a", "0.100", "+25.0%"]]
    assert drift[-1] == ["Report", "/r/drift.html"]
