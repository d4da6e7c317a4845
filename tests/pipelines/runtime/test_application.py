"""How a job ends: before Spark starts for what is known to be wrong by then, and with one line for all but bugs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.errors import DataError
from pipelines.interruption import Interrupted, Interruption
from pipelines.runtime import application
from pipelines.runtime.application import report
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from tests.root import ROOT


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a step over the flights with another source of weather, until Spark would start, which is exit 1."""

    def _start(*_: object) -> None:
        raise AssertionError("Spark starts")

    def _job(step: Any, **weather: object) -> int:
        content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
        content["sources"]["weather"] = weather
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump(content))
        return application.run_application(step.name, [step], ["--config", str(path)])

    monkeypatch.setattr(application, "spark_session", _start)
    return _job


def test_variables_that_sources_name_are_checked_before_spark_starts(
    job: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"kind": "jdbc", "url": "jdbc:postgresql://${DB_HOST}/db", "table": "weather", "password": "DB_PASSWORD"}
    api = {"kind": "rest", "url": "https://${API_HOST}/weather", "token": "API_TOKEN"}
    for source, name, key in (
        (table, "DB_HOST", "url"),
        (table, "DB_PASSWORD", "password"),
        (api, "API_TOKEN", "token"),
        (api, "API_HOST", "url"),
    ):
        assert job(INGEST, **source) == 2
        errors = capsys.readouterr().err
        assert f"sources.weather.{key}" in errors and f"the environment variable {name}" in errors and "Traceback" not in errors
        monkeypatch.setenv(name, "some")
    for source in (table, api):
        assert job(INGEST, **source) == 1
        assert "AssertionError: Spark starts" in capsys.readouterr().err
    monkeypatch.delenv("DB_PASSWORD")
    assert job(CLEAN, **table) == 1, "a job that reads no source needs no password"


def test_an_address_that_is_none_is_exit_2_before_spark_starts(
    job: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(INGEST, kind="jdbc", url="jdbc:postgresql://h/d?binaryTransfer=true", table="t") == 2
    assert "its url sets binaryTransfer" in capsys.readouterr().err
    assert job(INGEST, kind="csv", path="") == 2
    assert "sources.weather.path: expected text of at least 1 characters" in capsys.readouterr().err
    assert job(INGEST, kind="rest", url="ftp://h/d") == 2
    assert "sources.weather.url: expected http:// or https://" in capsys.readouterr().err


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals of a process of the test's own; Java goes on saying what it says."""
    monkeypatch.setattr("pipelines.runtime.application.PROCESS", Interruption())
    monkeypatch.setattr("pipelines.runtime.application.silence", lambda: None)


def outcome(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code, and the lines on standard error."""
    code = report("clean", error, 12.34)
    return code, capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("quiet")
def test_an_interruption_is_one_line_that_says_whether_it_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    error = Interrupted(signal.SIGTERM)
    line = "ringmill: clean interrupted by SIGTERM after 12.3 s{}. The same command does again what was not done.{}"
    assert outcome(error, capsys) == (143, [line.format("", "")])
    error.add_note("It could not be recorded: the warehouse\nand a traceback")
    assert outcome(error, capsys) == (143, [line.format("", " It could not be recorded: the warehouse")])
    recorded = Interrupted(signal.SIGINT)
    recorded.recorded = True
    assert outcome(recorded, capsys)[0] == 130
    assert "; the table runs has it" in outcome(recorded, capsys)[1][0]


@pytest.mark.usefixtures("quiet")
def test_errors_of_ours_are_one_line_and_bugs_have_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(DataError("no rows."), capsys) == (3, ["ringmill: clean failed: no rows."])
    code, lines = outcome(ZeroDivisionError("by zero"), capsys)
    assert (code, lines[0], lines[-1][:31]) == (1, "ZeroDivisionError: by zero", "ringmill: clean failed by a bug")
