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
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow makes of the folder dags, by the name of the DAG."""
    home = tmp_path_factory.mktemp("airflow")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "AIRFLOW_HOME": str(home), "RINGMILL_HOME": str(ROOT)}
    command = [str(AIRFLOW), str(Path(__file__).with_name("probe.py")), str(ROOT / "dags")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=home)
    assert done.returncode == 0, done.stderr
    bag = json.loads(done.stdout.splitlines()[-1])
    assert bag["errors"] == {}
    found: dict[str, Any] = bag["dags"]
    return found


@pytest.fixture(scope="module")
def dag(dags: dict[str, Any]) -> dict[str, Any]:
    """What Airflow makes of dags/flights.py."""
    found: dict[str, Any] = dags["ringmill_flights"]
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


@pytest.mark.parametrize(
    ("name", "steps", "last", "span"),
    [
        ("nightly", ["ingest", "clean", "predict"], ["2013-03-01T08:00:00+00:00", "2013-03-02T08:00:00+00:00"], "03-01 03-02"),
        (
            "weekly",
            ["features", "train", "evaluate", "publish"],
            ["2013-02-18T09:00:00+00:00", "2013-02-25T09:00:00+00:00"],
            "01-28 02-25",
        ),
    ],
)
def test_nights_are_intervals_and_weeks_train_on_the_window_before(
    dags: dict[str, Any], name: str, steps: list[str], last: list[str], span: str
) -> None:
    found = dags[f"ringmill_flights_{name}"]
    assert list(found["tasks"]) == steps
    assert [task["after"] for task in found["tasks"].values()] == [[], *([step] for step in steps[:-1])]
    assert found["intervals"][-1] == last
    start, end = (f"2013-{day}T00:00:00-05:00" for day in span.split())
    for step, task in found["tasks"].items():
        assert task["command"].endswith(f"jobs/{step}.py --config conf/flights_nightly.yaml --from {start} --to {end}")
