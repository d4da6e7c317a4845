"""A real scheduler with real spark-submits: months of flights, tasks that are killed, a job that fails for good, a backfill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from setup.run_airflow import Airflow, airflow_server
from tests.conftest import session_on
from tests.departures import departures
from tests.root import ROOT
from tests.sample import some_rows, write_rows, write_sample
from tests.webhook import Webhook, listening

pytestmark = pytest.mark.slow
MONTHS = ("2013-01", "2013-02")
SECONDS = 400  # until all tasks have ended, on a machine with much else to do
SUBMIT = """#!/usr/bin/env bash
# Instead of spark-submit: the real one, but for the pipelines that show what the scheduler alone does.
case "$*" in
  *conf/days.yaml*) echo "$*" >>"$RINGMILL_HOME/submitted" ;;
  *conf/failing.yaml*) echo "ringmill: ingest failed: flights.dep_time: not a number"; exit 3 ;;
  *) exec "$RINGMILL_ROOT/.venv/bin/spark-submit" --driver-memory 1g "$@" ;;
esac
"""


class Task(NamedTuple):
    """A task's end, as the scheduler's database has it."""

    dag: str
    month: str
    name: str
    state: str
    tries: int


class Home:
    """A folder that stands for ringmill's, with three pipelines, and the Airflow that schedules them."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        for name in ("conf", "bin", "setup"):
            (folder / name).mkdir()
        (folder / "jobs").symlink_to(ROOT / "jobs")
        (folder / "setup" / "env.sh").write_text(f'. {ROOT}/setup/env.sh\nexport PATH="$RINGMILL_HOME/bin:$PATH"\n')
        (folder / "bin" / "spark-submit").write_text(SUBMIT)
        (folder / "bin" / "spark-submit").chmod(0o755)
        self.rows = _write_months(data, folder)
        monthly = {"cron": "0 3 1 * *", "start": "2013-01-01", "end": "2013-03-01", "retries": 3, "retry_delay": "0.01 minutes"}
        training = {"cron": "0 4 1 * *", "window": "10 years"}  # its model comes too late for the nights
        self._configure("months", monthly | {"training": training})
        self._configure("failing", {"cron": "0 3 * * *", "start": "2013-01-01", "end": "2013-01-02"})
        self._configure("days", {"cron": "0 3 * * *", "start": "2013-01-01", "end": "2013-01-31", "catch_up": False})

    def _configure(self, name: str, schedule: dict[str, Any]) -> None:
        def edit(content: dict[str, Any]) -> None:
            content["sources"]["flights"] |= {"path": str(self.folder / "flights-{from:%Y-%m}.csv"), "every": "month"}
            content["clean"]["max_quarantined_share"] = 0.1  # of few rows a bad one is many
            content.update(schedule=schedule, notify={"url": "RINGMILL_TEST_WEBHOOK"})

        (self.folder / "conf" / f"{name}.yaml").write_text(yaml.safe_dump(departures(self.folder, name, edit)))

    def submitted(self) -> list[str]:
        """What was submitted of the days, without its configuration."""
        lines = (self.folder / "submitted").read_text().splitlines()
        return [line.replace("--config conf/days.yaml ", "") for line in lines]


def _write_months(data: Path, folder: Path) -> dict[str, int]:
    """Write a file of each month of the sample of flights; return the flights in each."""
    write_sample(data, folder)
    counts: dict[str, int] = {}
    rows = some_rows(folder / "flights.csv", every=1)
    for month in MONTHS:
        of_month = [row for row in rows if f"{int(row['year'])}-{int(row['month']):02d}" == month]
        write_rows(folder / f"flights-{month}.csv", of_month, list(rows[0]))
        counts[month] = len(of_month)
    return counts


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    """A webhook that listens."""
    with listening() as server:
        yield server


@pytest.fixture(scope="module")
def home(flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The folder of the pipelines."""
    return Home(tmp_path_factory.mktemp("scheduled"), flights_csv)


@pytest.fixture(scope="module")
def airflow(home: Home, webhook: Webhook) -> Iterator[Airflow]:
    """An Airflow on a free port, its DAGs switched on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1"}
    server = Airflow(home.folder / "airflow", port, home.folder, settings)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RINGMILL_TEST_WEBHOOK", webhook.url)
        with airflow_server(server):
            yield server


def tasks(airflow: Airflow, dag: str) -> list[Task]:
    """The tasks of a DAG, by interval and in the order of their ends."""
    rows = airflow.query(
        "SELECT r.dag_id, substr(r.data_interval_start, 1, 7), t.task_id, t.state, t.try_number FROM task_instance t "
        "JOIN dag_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id "
        f"WHERE r.dag_id = '{dag}' ORDER BY r.data_interval_start, t.end_date"
    )
    return [Task(*row) for row in rows]


def states(airflow: Airflow, dag: str) -> list[str]:
    """The states of a DAG's runs."""
    return [state for (state,) in airflow.query(f"SELECT state FROM dag_run WHERE dag_id = '{dag}'")]


def wait_for(what: Callable[[], Any], name: str) -> Any:
    """The first value that is true."""
    deadline = time.monotonic() + SECONDS
    while not (value := what()):
        assert time.monotonic() < deadline, f"{name} has not come within {SECONDS} seconds"
        time.sleep(0.2)
    return value


def java_of(home: Home, job: str) -> psutil.Process | None:
    """The Java of a job that the scheduler has submitted, once its driver runs."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or [""]
        with suppress(psutil.Error):
            if line[0].endswith("java") and f"jobs/{job}.py" in line and process.cwd() == str(home.folder):
                return process if process.children() else None
    return None


@pytest.fixture(scope="module")
def killed(airflow: Airflow, home: Home) -> list[psutil.Process]:
    """What belonged to two tasks that were killed: of one its process group, of the other Airflow's own process."""
    java: psutil.Process = wait_for(lambda: java_of(home, "ingest"), "the first ingest")
    of_first = [java, *java.children(recursive=True)]
    os.killpg(java.pid, signal.SIGKILL)
    java = wait_for(lambda: java_of(home, "clean"), "the first clean")
    of_second = [java, *java.children(recursive=True)]
    task = java.parent()
    assert task is not None
    task.send_signal(signal.SIGKILL)
    return of_first + of_second


def test_killed_tasks_leave_no_spark_behind_and_their_retries_heal(
    airflow: Airflow, home: Home, killed: list[psutil.Process], spark: SparkSession
) -> None:
    _, alive = psutil.wait_procs(killed, timeout=60)
    assert alive == []
    wait_for(lambda: states(airflow, "ringmill_months") == ["success", "success"], "the end of February")
    ended = tasks(airflow, "ringmill_months")
    steps = [("ingest", "success", 2), ("clean", "success", 2), ("predict", "skipped", 1)]
    steps += [(name, state, 1) for name, state, _ in steps]
    assert [(task.name, task.state, task.tries) for task in ended] == steps
    assert [task.month for task in ended] == ["2013-01"] * 3 + ["2013-02"] * 3
    session = session_on(spark, home.folder / "warehouse")
    start = F.col("interval_from").cast("string").alias("start")
    landed = {f"{month}-01 05:00:00": home.rows[month] for month in MONTHS}
    rows = session.table("lake.months.raw_flights").groupBy(start).count().collect()
    assert {row.start: row["count"] for row in rows} == landed
    ledger = session.table("lake.months.row_ledger").where("step = 'clean' and source = 'flights'")
    accounts = {row.start: (row.rows_in, row.rows_out) for row in ledger.select(start, "rows_in", "rows_out").collect()}
    assert {each: account[0] for each, account in accounts.items()} == landed
    cleaned = session.table("lake.months.clean_flights").groupBy(start).count().collect()
    assert {row.start: row["count"] for row in cleaned} == {each: account[1] for each, account in accounts.items()}
    runs = session.table("lake.months.runs").where("status = 'succeeded'").groupBy("job").count().collect()
    assert {row.job: row["count"] for row in runs} == {"ingest": 2, "clean": 2}


def test_a_broken_contract_fails_at_once_says_why_and_is_reported(airflow: Airflow, webhook: Webhook) -> None:
    wait_for(lambda: states(airflow, "ringmill_failing") == ["failed"], "the failure")
    ends = {task.name: (task.state, task.tries) for task in tasks(airflow, "ringmill_failing")}
    assert ends == {"ingest": ("failed", 1), "clean": ("upstream_failed", 0), "predict": ("upstream_failed", 0)}
    (log,) = (airflow.home / "logs").glob("dag_id=ringmill_failing/*/task_id=ingest/*.log")
    reason = "(the data breaks its contract): ringmill: ingest failed: flights.dep_time: not a number"
    assert reason in log.read_text()
    (event,) = wait_for(lambda: [event for event in webhook.bodies if event["pipeline"] == "failing"], "the event")
    assert (event["event"], event["job"], event["error"][-14:]) == ("failed", "ringmill_failing", "(task_failure)")
    assert event["interval_from"] == "2013-01-01T08:00:00+00:00"


def test_a_backfill_runs_each_interval_once(airflow: Airflow, home: Home) -> None:
    dates = ("--from-date", "2013-01-10", "--to-date", "2013-01-13")
    airflow.run("backfill", "create", "--dag-id", "ringmill_days", *dates)
    wait_for(lambda: states(airflow, "ringmill_days") == ["success"] * 3, "the backfill")
    days = [f"2013-01-{day}T00:00:00-05:00" for day in (10, 11, 12, 13)]
    spans = [f"--from {start} --to {end}" for start, end in pairwise(days)]
    assert sorted(home.submitted()) == sorted(
        f"jobs/{job}.py {span}" for span in spans for job in ("ingest", "clean", "predict")
    )


def test_its_programs_wait_for_each_others_commits(airflow: Airflow) -> None:
    ask = "from airflow.settings import engine; print(engine.connect().exec_driver_sql('PRAGMA busy_timeout').scalar())"
    command = [airflow.command()[0], "-c", ask]
    printed = subprocess.run(command, env=airflow.environment, capture_output=True, text=True, check=True).stdout
    # A backfill beside a busy scheduler had failed after SQLite's own five seconds.
    assert printed.split()[-1] == "60000"


def test_trainings_have_one_slot_in_their_pool(airflow: Airflow) -> None:
    assert airflow.query("SELECT slots FROM slot_pool WHERE pool = 'ringmill_training'") == [(1,)]
