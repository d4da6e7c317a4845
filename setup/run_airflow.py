"""Run Airflow with the DAGs of this folder: `make airflow`. Its database is SQLite, and it listens on 127.0.0.1 alone.

It is for one machine and one person; docs/operations.md says what an Airflow of several people needs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from setup.environments import variables
from setup.sessions import end_session

ROOT = Path(__file__).resolve().parents[1]
# The last one that starts is the first to end. Tasks report to the first, and fail where it does not serve yet.
PROGRAMS = (("api-server",), ("scheduler", "--skip-serve-logs"), ("dag-processor",))  # served logs would be open to everybody
HEALTHY = ("metadatabase", "scheduler", "dag_processor")
POOL = ("ringmill_training", "1", "Trainings take turns")
USER = "admin"
START_SECONDS = 300
LOCK_SECONDS = 60  # that a program waits for another one's commit before it fails; SQLite's own are 5
END_SECONDS = 40  # of each program: a task gives its Spark application 30 to end in order


@dataclass(frozen=True)
class Airflow:
    """An Airflow: its folder, its port, the ringmill whose conf/*.yaml it schedules, and settings beyond its own."""

    home: Path
    port: int
    ringmill: Path = ROOT
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The address of its pages and of its REST API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """The SQLite file in which Airflow keeps runs, tasks and assets."""
        return self.home / "airflow.db"

    @property
    def passwords(self) -> Path:
        """The file with its user's password, which Airflow makes."""
        return self.home / "simple_auth_manager_passwords.json.generated"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its programs."""
        own = {
            "CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__PARALLELISM": "4",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}?timeout={LOCK_SECONDS}",
            "API__BASE_URL": self.address,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__WORKERS": "1",
            **self.settings,
        }
        prefixed = {f"AIRFLOW__{key}": value for key, value in own.items()}
        direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}  # its programs talk to each other over HTTP
        return {**variables(), **direct, "AIRFLOW_HOME": str(self.home), "RINGMILL_HOME": str(self.ringmill), **prefixed}

    def command(self, *arguments: str) -> list[str]:
        """One of Airflow's commands, to be run with `environment`."""
        return [str(ROOT / ".venv-airflow" / "bin" / "python"), "-m", "airflow", *arguments]

    def run(self, *arguments: str) -> str:
        """Run a command and return what it prints; raises RuntimeError when it fails."""
        done = subprocess.run(self.command(*arguments), env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} ended with code {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def query(self, sql: str) -> list[Any]:
        """Run SQL on its database, read-only, and return the rows."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def is_serving(self) -> bool:
        """Whether its API server answers."""
        return self._health() is not None

    def is_healthy(self) -> bool:
        """Whether all its programs are at work."""
        health = self._health()
        return health is not None and all(health[each]["status"] == "healthy" for each in HEALTHY)

    def _health(self) -> dict[str, Any] | None:
        """What the API server says of each program; None while it says nothing."""
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
                connection.request("GET", "/api/v2/monitor/health")
                health: dict[str, Any] = json.load(connection.getresponse())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        return health


@contextmanager
def airflow_server(airflow: Airflow) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Prepare the database and the pool, and run Airflow's programs within the context.

    At the end the scheduler and its tasks end before the API server, to which they report. Raises RuntimeError when a program
    does not start; their output is in the folder `logs`.
    """
    (airflow.home / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
    airflow.home.chmod(0o700)
    airflow.run("db", "migrate")
    if (POOL[0],) not in airflow.query("SELECT pool FROM slot_pool"):  # whoever has given it more slots keeps them
        airflow.run("pools", "set", *POOL)
    with ExitStack() as running:
        programs = []
        for arguments in PROGRAMS:
            programs.append(_start(airflow, arguments))
            running.callback(end_session, programs[-1], END_SECONDS)
            _wait_until(airflow.is_serving, airflow, programs)
        _wait_until(airflow.is_healthy, airflow, programs)
        yield programs


def _start(airflow: Airflow, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    with (airflow.home / "logs" / f"{arguments[0]}.log").open("ab") as log:
        command = airflow.command(*arguments)
        return subprocess.Popen(command, env=airflow.environment, stdout=log, stderr=log, start_new_session=True)


def _wait_until(is_ready: Callable[[], bool], airflow: Airflow, programs: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        ended = [arguments[0] for arguments, program in zip(PROGRAMS, programs, strict=False) if program.poll() is not None]
        if ended or time.monotonic() > deadline:
            what = f"{ended[0]} ended" if ended else f"it is not healthy after {START_SECONDS} seconds"
            raise RuntimeError(f"Airflow does not start: {what}. Look at the logs in {airflow.home / 'logs'}.")
        time.sleep(0.5)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main(argv: Sequence[str]) -> int:
    """Run Airflow until it is interrupted; return the exit code."""
    parser = argparse.ArgumentParser(prog="make airflow", description="Run Airflow with the DAGs of conf/*.yaml.")
    parser.add_argument("--port", type=int, default=8080, help="on 127.0.0.1 (default: 8080)")
    parser.add_argument("--home", type=Path, default=ROOT / ".airflow", help="Airflow's folder (default: .airflow)")
    arguments = parser.parse_args(argv)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", arguments.port)) == 0:
            print(f"ringmill: port {arguments.port} is in use; give another, such as ARGS='--port 8090'.", file=sys.stderr)
            return 2
    airflow = Airflow(arguments.home.absolute(), arguments.port)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    print("ringmill: starting Airflow …", flush=True)
    try:
        with airflow_server(airflow) as programs:
            print(f"Airflow      {airflow.address}\nuser         {USER}, its password is in {airflow.passwords}", flush=True)
            print(
                f"logs         {airflow.home / 'logs'}\nDAGs         paused until you switch them on. Ctrl-C ends all.",
                flush=True,
            )
            try:
                while all(program.poll() is None for program in programs):
                    time.sleep(1)
            finally:
                print("ringmill: ending Airflow, and the Spark applications of its tasks …", flush=True)
    except KeyboardInterrupt:
        return 0
    except RuntimeError as error:
        print(f"ringmill: {error}", file=sys.stderr)
        return 5
    print(f"ringmill: one of Airflow's programs ended. Look at the logs in {airflow.home / 'logs'}.", file=sys.stderr)
    return 5


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
