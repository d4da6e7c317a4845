"""What `make airflow` does before it starts anything; tests/dags/test_airflow.py starts it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from setup.run_airflow import Airflow, main


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
