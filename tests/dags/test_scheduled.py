"""The DAGs as Airflow itself reads them, in its own environment, and how their tasks end; without a scheduler."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import ScheduleConfig
from tests.root import ROOT
from tests.webhook import Webhook, listening

AIRFLOW = ROOT / ".venv-airflow" / "bin" / "python"
NIGHTLY, TRAINING = "ringmill_flights_nightly", "ringmill_flights_nightly_training"
LEAST = "pipeline: least\nschedule: {cron: 30 1 * * *, start: 2013-01-01, end: 2013-01-03}\n"
FULL = """\
pipeline: full
timezone: America/New_York
schedule:
  cron: 0 0 1 * *
  timezone: Europe/Paris
  start: 2013-01-01
  end: 2013-04-01
  catch_up: false
  owner: data
  retries: 7
  retry_delay: 90 minutes
  training: {cron: 0 5 1 * *, window: 2 months}
"""
SUBMIT = """#!/usr/bin/env bash
# Instead of spark-submit: a job that is named after its exit code.
code=$(basename "$1" .py)
[ "$code" = silent ] && echo "$$" >"$RINGMILL_HOME/silent.pid" && exec sleep 60
echo "ringmill: an earlier line"; echo "ringmill: $code failed: in the last line"; echo "a line of Java"
[ "$code" = killed ] && kill -KILL -- -$$
exit "$code"
"""


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    """A webhook that listens."""
    with listening() as server:
        yield server


@pytest.fixture(scope="module")
def probed(webhook: Webhook, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow makes of the folder dags, over the examples and three other configurations."""
    home = tmp_path_factory.mktemp("airflow")
    for folder in ("conf", "setup", "bin"):
        (home / folder).mkdir()
    for example in (ROOT / "conf").glob("*.yaml"):
        (home / "conf" / example.name).symlink_to(example)
    (home / "conf" / "least.yaml").write_text(LEAST)
    (home / "conf" / "full.yaml").write_text(FULL)
    (home / "conf" / "twin.yaml").write_text("extends: least.yaml\n")
    (home / "conf" / "wrong.yaml").write_text("pipeline: wrong\nschedule: {cron: hourly, start: 2013-01-01}\n")
    (home / "setup" / "env.sh").write_text('export PATH="$RINGMILL_HOME/bin:$PATH"\n')
    (home / "bin" / "spark-submit").write_text(SUBMIT)
    (home / "bin" / "spark-submit").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "AIRFLOW_HOME": str(home / "airflow")}
    environment |= {"RINGMILL_HOME": str(home), "WEBHOOK": webhook.url, "NO_ADDRESS": "127.0.0.1:1"}
    command = [str(AIRFLOW), str(Path(__file__).with_name("probe.py")), str(ROOT / "dags"), str(home / "probed.json")]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=home)
    assert completed.returncode == 0, completed.stderr
    result: dict[str, Any] = json.loads((home / "probed.json").read_text())
    assert result["errors"] == {}
    return result


@pytest.fixture(scope="module")
def dags(probed: dict[str, Any]) -> dict[str, Any]:
    """The DAGs by name."""
    by_name: dict[str, Any] = probed["dags"]
    return by_name


def test_each_configuration_with_a_schedule_has_its_dags(dags: dict[str, Any]) -> None:
    full = {"ringmill_full", "ringmill_full_training"}
    assert set(dags) == {NIGHTLY, TRAINING, "ringmill_least", *full, "ringmill_broken_twin", "ringmill_broken_wrong"}


@pytest.mark.parametrize(
    ("name", "steps", "first", "last", "days"),
    [
        (
            NIGHTLY,
            ["ingest", "clean", "predict"],
            ["2013-01-01T08:00:00+00:00", "2013-01-02T08:00:00+00:00"],
            ["2013-03-01T08:00:00+00:00", "2013-03-02T08:00:00+00:00"],
            "03-01 03-02",
        ),
        (
            TRAINING,
            ["features", "train", "evaluate", "publish"],
            # The first Monday with four weeks of nights before it is the fourth of February.
            ["2013-01-28T09:00:00+00:00", "2013-02-04T09:00:00+00:00"],
            ["2013-02-18T09:00:00+00:00", "2013-02-25T09:00:00+00:00"],
            "01-28 02-25",
        ),
    ],
)
def test_nights_are_intervals_and_weeks_train_on_the_window_before(
    dags: dict[str, Any], name: str, steps: list[str], first: list[str], last: list[str], days: str
) -> None:
    dag = dags[name]
    jobs = {step: dag["tasks"][step] for step in steps}
    assert [dag["intervals"][0], dag["intervals"][-1]] == [first, last]
    start, end = (f"2013-{day}T00:00:00-05:00" for day in days.split())
    for step, task in jobs.items():
        arguments = [f"jobs/{step}.py", "--config", "conf/flights_nightly.yaml"]
        assert task["given"] == {"arguments": arguments, "start": start, "end": end}
        assert (ROOT / "jobs" / f"{step}.py").exists()
        assert task["retries"] == [2, "0:30:00", True, "1:00:00"]
    assert [task["after"] for task in jobs.values()][1:] == [[step] for step in steps[:-1]]


def test_a_training_waits_for_the_last_night_of_its_window_and_for_other_trainings(dags: dict[str, Any]) -> None:
    nightly, training = dags[NIGHTLY]["tasks"], dags[TRAINING]["tasks"]
    cleaned, model = "ringmill://flights_nightly/clean", "ringmill://flights_nightly/model"
    assert (nightly["clean"]["outlets"], nightly["predict"]["inlets"]) == ([cleaned], [model])
    assert (training["nights_cleaned"]["inlets"], training["publish"]["outlets"]) == ([cleaned], [model])
    assert training["nights_cleaned"]["given"] == {"until": "2013-02-25T00:00:00-05:00"}
    assert (training["nights_cleaned"]["after"], training["features"]["after"]) == ([], ["nights_cleaned"])
    pools = {step: task["pool"] for step, task in training.items()}
    assert pools.pop("nights_cleaned") == "default_pool"
    assert set(pools.values()) == {"ringmill_training"}
    assert {task["pool"] for task in nightly.values()} == {"default_pool"}
    assert [dags[name]["active"] for name in (NIGHTLY, TRAINING)] == [1, 1]


def test_the_defaults_of_the_dags_are_those_of_the_configuration(dags: dict[str, Any]) -> None:
    schedule, dag = ScheduleConfig.model_validate({"cron": "30 1 * * *", "start": "2013-01-01"}), dags["ringmill_least"]
    retries = [schedule.retries, str(schedule.retry_delay), True, "1:00:00"]
    assert [task["retries"] for task in dag["tasks"].values()] == [retries] * 3
    assert (dag["catchup"], dag["owner"]) == (schedule.catch_up, schedule.owner)
    midnights = [f"2013-01-0{day}T01:30:00+00:00" for day in (1, 2, 3)]
    assert dag["intervals"] == [midnights[:2], midnights[1:]]
    assert dag["tasks"]["predict"]["inlets"] == []


def test_every_key_of_a_schedule_counts(dags: dict[str, Any]) -> None:
    dag, training = dags["ringmill_full"], dags["ringmill_full_training"]
    assert (dag["catchup"], dag["owner"]) == (False, "data")
    assert dag["tasks"]["clean"]["retries"] == [7, "1:30:00", True, "1:30:00"]
    assert training["tasks"]["train"]["given"]["start"] == "2013-02-01T00:00:00+01:00"
    assert training["tasks"]["train"]["given"]["end"] == "2013-04-01T00:00:00+02:00"  # summer time


def test_each_dag_explains_itself_and_reports_failures(dags: dict[str, Any]) -> None:
    assert "Made from `conf/flights_nightly.yaml`" in dags[TRAINING]["doc"]
    assert "on the 28 days before. Due at `0 4 * * mon`" in dags[TRAINING]["doc"]
    assert all(dag["callback"] for name, dag in dags.items() if "broken" not in name)


def test_a_configuration_that_is_wrong_leaves_the_others_their_dags(dags: dict[str, Any]) -> None:
    assert dags["ringmill_broken_wrong"]["doc"].startswith("conf/wrong.yaml has no DAG: ")
    assert "another file has a schedule of the pipeline least" in dags["ringmill_broken_twin"]["doc"]
    assert [dags[f"ringmill_broken_{name}"]["tasks"] for name in ("twin", "wrong")] == [{}, {}]


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        ("1", "AirflowException", "exit code 1 (it may pass): ringmill: 1 failed: in the last line"),
        ("2", "AirflowFailException", "exit code 2 (wrong arguments or configuration): ringmill: 2 failed: in the last line"),
        ("3", "AirflowFailException", "exit code 3 (the data breaks its contract): ringmill: 3 failed: in the last line"),
        ("4", "AirflowFailException", "exit code 4 (a gate is not met): ringmill: 4 failed: in the last line"),
        ("5", "AirflowException", "exit code 5 (it may pass): ringmill: 5 failed: in the last line"),
        ("130", "AirflowException", "exit code 130 (it may pass)"),
        ("killed", "AirflowException", "exit code -9 (it may pass)"),
        ("no model", "AirflowSkipException", "no model has been published by a training yet: task ended with exit code 3"),
        ("a model", "AirflowFailException", "exit code 3 (the data breaks its contract)"),
    ],
)
def test_what_the_same_inputs_repeat_fails_at_once_and_the_rest_is_tried_again(
    probed: dict[str, Any], code: str, error: str, reason: str
) -> None:
    assert probed["endings"][code][0] == error
    assert reason in probed["endings"][code][1]


def test_what_a_task_wrote_says_of_which_days_it_is(probed: dict[str, Any]) -> None:
    assert probed["endings"]["0"] == {"from": "2013-01-01T00:00:00-05:00", "to": "2013-01-02T00:00:00-05:00"}


def test_a_job_that_prints_nothing_ends_with_the_supervisor_of_its_task(probed: dict[str, Any]) -> None:
    assert probed["silent job ends"] is True


def test_a_training_starts_once_a_night_is_cleaned_up_to_its_end(probed: dict[str, Any]) -> None:
    waiting = {"nothing": True, "by hand": True, "before": True, "the night": False, "in UTC": False, "later": False}
    assert probed["waiting"] == waiting


def test_a_failed_run_is_sent_to_the_webhook_where_that_is_wanted(probed: dict[str, Any], webhook: Webhook) -> None:
    text = "run WEBHOOK failed (task_failure)"
    expected = {"event": "failed", "pipeline": "p", "job": "d", "step": None, "run_id": "WEBHOOK", "interval_from": None}
    expected |= {"interval_to": None, "error": text, "exit_code": None, "text": f"ringmill: p: d: failed: {text}"}
    assert webhook.bodies[:1] == [expected]
    assert len(webhook.bodies) == 1
