"""How a job ends: one line and an exit code for what is ours and for signals, a traceback for bugs alone."""

from __future__ import annotations

import signal

import pytest

from pipelines.errors import DataError
from pipelines.flows.application import report
from pipelines.interruption import Interrupted, Interruption


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals of a process of the test's own; Java goes on saying what it says."""
    monkeypatch.setattr("pipelines.flows.application.PROCESS", Interruption())
    monkeypatch.setattr("pipelines.flows.application.silence", lambda: None)


def said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code, and the lines on standard error."""
    code = report("clean", error, 12.34)
    return code, capsys.readouterr().err.splitlines()


def test_an_interruption_is_one_line_that_says_whether_it_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    error = Interrupted(signal.SIGTERM)
    line = "ringmill: clean interrupted by SIGTERM after 12.3 s{}. The same command does again what was not done.{}"
    assert said(error, capsys) == (143, [line.format("", "")])
    error.add_note("It could not be recorded: the warehouse\nand a traceback")
    assert said(error, capsys) == (143, [line.format("", " It could not be recorded: the warehouse")])
    recorded = Interrupted(signal.SIGINT)
    recorded.recorded = True
    assert said(recorded, capsys)[0] == 130
    assert "; the table runs has it" in said(recorded, capsys)[1][0]


def test_errors_of_ours_are_one_line_and_bugs_have_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(DataError("no rows."), capsys) == (3, ["ringmill: clean failed: no rows."])
    code, lines = said(ZeroDivisionError("by zero"), capsys)
    assert (code, lines[0], lines[-1][:31]) == (1, "ZeroDivisionError: by zero", "ringmill: clean failed by a bug")
