"""What `make airflow` does before it starts anything; tests/dags/test_airflow.py starts it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from setup import run_airflow
from setup.run_airflow import Airflow, airflow_server, main


def test_a_port_that_is_in_use_is_named_before_anything_is_created(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["--port", str(port), "--home", str(tmp_path / "home")]) == 2
    assert capsys.readouterr().err == f"ringmill: port {port} is in use; give another, such as ARGS='--port 8090'.\n"
    assert not (tmp_path / "home").exists()


def test_airflow_listens_on_the_loopback_alone_and_knows_no_other_python(tmp_path: Path) -> None:
    environment = Airflow(tmp_path, 8090, settings={"CORE__PARALLELISM": "2"}).environment
    assert (environment["AIRFLOW__API__HOST"], environment["AIRFLOW__API__PORT"]) == ("127.0.0.1", "8090")
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8090/execution/"
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "2"
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & set(environment)


def test_the_scheduler_starts_once_the_api_server_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is queued before fails: after four requests that nobody answers it gives up."""
    events, answers = list[str](), [False, False, True, True, True]

    def start(_: Airflow, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        events.append(arguments[0])
        return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)

    def is_serving(_: Airflow) -> bool:
        events.append(f"answers: {answers[0]}")
        return answers.pop(0)

    monkeypatch.setattr(run_airflow, "_start", start)
    monkeypatch.setattr("setup.run_airflow.time.sleep", lambda _: None)
    monkeypatch.setattr(Airflow, "is_serving", is_serving)
    monkeypatch.setattr(Airflow, "is_healthy", lambda _: True)
    monkeypatch.setattr(Airflow, "run", lambda *_: "")
    monkeypatch.setattr(Airflow, "query", lambda *_: [run_airflow.POOL[:1]])
    with airflow_server(Airflow(tmp_path, 8090)) as programs:
        assert len(programs) == 3
    assert events[:5] == ["api-server", "answers: False", "answers: False", "answers: True", "scheduler"]
