"""The DAG as Airflow itself reads it, in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

AIRFLOW = ROOT / ".venv-airflow" / "bin" / "python"


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow makes of dags/flights.py."""
    home = tmp_path_factory.mktemp("airflow")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "AIRFLOW_HOME": str(home), "RINGMILL_HOME": str(ROOT)}
    command = [str(AIRFLOW), str(Path(__file__).with_name("probe.py")), str(ROOT / "dags")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=home)
    assert done.returncode == 0, done.stderr
    bag = json.loads(done.stdout.splitlines()[-1])
    assert bag["errors"] == {}
    found: dict[str, Any] = bag["dags"]["ringmill_flights"]
    return found


def test_the_steps_follow_each_other(dag: dict[str, Any]) -> None:
    after = {name: task["after"] for name, task in dag["tasks"].items()}
    steps = ["ingest", "clean", "features", "train", "evaluate", "publish", "predict"]
    assert after == {step: steps[index - 1 : index] if index else [] for index, step in enumerate(steps)}


def test_there_is_one_run_and_it_covers_the_local_year(dag: dict[str, Any]) -> None:
    assert dag["intervals"] == [["2013-01-01T05:00:00+00:00", "2014-01-01T05:00:00+00:00"]]


def test_each_task_submits_its_job_over_the_interval(dag: dict[str, Any]) -> None:
    for name, task in dag["tasks"].items():
        assert task["command"].endswith(
            f"spark-submit jobs/{name}.py --config conf/flights.yaml "
            "--from 2013-01-01T00:00:00-05:00 --to 2014-01-01T00:00:00-05:00"
        )
        assert (ROOT / "jobs" / f"{name}.py").exists()
        assert task["retries"] == 2
