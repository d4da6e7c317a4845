"""With `--log-format json` each line that a job prints is a JSON object that says what it is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from pipelines.config import Interval
from pipelines.errors import DataError
from pipelines.interruption import Interruption
from pipelines.messages import EpochReport, Message
from pipelines.runtime import command_line
from pipelines.runtime.application import report
from pipelines.runtime.command_line import main
from pipelines.runtime.events import Events
from pipelines.runtime.log_context import LOG_CONTEXT, LogContext, wants_json
from pipelines.runtime.log_handler import JsonHandler, begin_log, job_handler
from pipelines.runtime.terminal import JsonConsole, PlainConsole, console
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.training.progress import TrainingProgress
from tests.pipelines.conftest import Run

MAY = Interval(start=datetime(2013, 5, 1, tzinfo=UTC), end=datetime(2013, 5, 2, tzinfo=UTC))
KEYS = ["time", "level", "pipeline", "job", "step", "run_id", "interval_from", "interval_to", "message"]


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> LogContext:
    """A job train of the pipeline toy, whose lines are JSON."""
    begin_log("train", json_lines=True)
    values = {"pipeline": "toy", "job": "train", "run_id": "r1", "step": "train", "interval": MAY, "webhook": None}
    for name, value in values.items():
        monkeypatch.setattr(LOG_CONTEXT, name, value)
    return LOG_CONTEXT


def lines(text: str) -> list[dict[str, Any]]:
    """The objects of a log, one a line."""
    return [json.loads(line) for line in text.splitlines()]


def printed_objects(*prints: Callable[[Console], object]) -> list[dict[str, Any]]:
    """The objects that a console of the log prints."""
    out = logged_to()
    for each in prints:
        each(JsonConsole(out))
    return lines(out.getvalue())


def logged_to() -> io.StringIO:
    """What a job's log is written to from now on."""
    handler, out = job_handler(), io.StringIO()
    assert handler
    handler.console = JsonConsole(out)
    return out


def test_each_line_has_its_time_level_run_step_and_interval() -> None:
    before = datetime.now(UTC)
    [line] = printed_objects(lambda out: out.print("    [bold]epoch[/]  1/2  loss é", soft_wrap=True, markup=True))
    assert list(line) == KEYS
    assert abs(datetime.fromisoformat(line.pop("time")) - before) < timedelta(seconds=5)
    assert line == {
        "level": "info",
        "pipeline": "toy",
        "job": "train",
        "step": "train",
        "run_id": "r1",
        "interval_from": "2013-05-01T00:00:00+00:00",
        "interval_to": "2013-05-02T00:00:00+00:00",
        "message": "epoch  1/2  loss é",
    }


def test_warnings_have_their_level_and_nothing_is_wrapped_or_coloured() -> None:
    grid = Table(title="Rows")
    grid.add_column("source")
    grid.add_row("flights")
    objects = printed_objects(
        lambda out: out.print("word " * 100, style="yellow"),
        lambda out: out.print("[bracket] as it is", markup=False),
        lambda out: out.print("\n"),
        lambda out: out.print(grid),
    )
    assert [line["level"] for line in objects] == ["warning", *["info"] * (len(objects) - 1)]
    assert [line["message"] for line in objects[:2]] == [("word " * 100).strip(), "[bracket] as it is"]
    assert [line["message"].strip("│┃ ") for line in objects[2:]] == ["Rows", "source", "flights"], "no rules between them"
    assert "\x1b" not in json.dumps(objects)


def test_lines_about_a_rank_name_it(run: Run) -> None:
    losses = {"train_loss": 0.5, "validation_loss": 0.25, "validation_auc": 0.75, "learning_rate": 0.1}
    report = EpochReport(epoch=0, rows=1000, steps=3, seconds=1, rows_per_second=1000, best=True, **losses)
    message = Message(rank=1, host="h", content=report)
    [epoch] = printed_objects(lambda out: TrainingProgress(out, epochs=2, steps=3).show(message))
    assert (epoch["rank"], epoch["message"].split()[:2]) == (1, ["epoch", "1/2"])
    out, context = logged_to(), run()
    Events(context).add("slow", "rank 0 holds the others up", {"rank": 0, "host": "h"})
    Events(context).add("resumed", "at epoch 1")
    slow, resumed = lines(out.getvalue())
    assert (slow["rank"], slow["message"]) == (0, "slow: rank 0 holds the others up")
    assert "rank" not in resumed


def test_a_step_logs_its_own_name_run_and_interval(visit: Run, tmp_path: Any, log: LogContext) -> None:
    (tmp_path / "visits-05-01.csv").write_text("id,at,spent,shop\n1,2013-05-01 10:00:00,1.5,a\n")
    out = logged_to()
    log.at(None, None)
    visit(INGEST)
    visit(INGEST)
    done, again = lines(out.getvalue())
    assert done["message"].startswith("ingest:") and "visits 1" in done["message"]
    assert "nothing to do" in again["message"]
    for line in (done, again):
        assert (line["step"], line["interval_from"]) == ("ingest", "2013-05-01T00:00:00+00:00")


def test_errors_and_tracebacks_are_objects_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.runtime.application.PROCESS", Interruption())
    assert report("train", DataError("no rows."), 1.0) == 3
    assert report("train", ZeroDivisionError("by zero"), 1.0) == 1
    ended, bug, last = lines(capsys.readouterr().err)
    assert (ended["level"], ended["message"]) == ("error", "train failed: no rows.")
    assert (bug["message"], bug["trace"]) == ("ZeroDivisionError: by zero", "ZeroDivisionError: by zero\n")
    assert last["message"] == "train failed by a bug; please report the traceback above."


def test_wrong_arguments_are_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("train", ["--log-format", "json", "--nothing"]) == 2
    [line] = lines(capsys.readouterr().err)
    assert (line["level"], line["job"], line["pipeline"]) == ("error", "train", None)
    assert line["message"].startswith("train failed: arguments: ")
    assert main("train", ["--log-format", "xml", "--config", "c"]) == 2
    assert capsys.readouterr().err.startswith("ringmill: train failed: arguments: argument --log-format: invalid choice")


def test_pythons_log_records_are_lines_of_the_same_kind() -> None:
    record = logging.LogRecord("mlflow", logging.WARNING, "", 0, "no %s", ("server",), None)
    line = json.loads(JsonHandler().line(record))
    assert (line["level"], line["message"], line["logger"], line["run_id"]) == ("warning", "no server", "mlflow", "r1")


def test_text_stays_the_default(log: LogContext) -> None:
    assert isinstance(console(), JsonConsole)
    log.begin("train", json_lines=False)
    assert type(console()) is PlainConsole
    assert [wants_json(argv) for argv in (["--log-format=json"], ["--config", "c", "--log-format", "json"])] == [True, True]
    assert [wants_json(argv) for argv in ([], ["--log-format", "text", "json"], ["json"])] == [False, False, False]
    for job in command_line.PURPOSES:
        required = {"promote": ["--rollback"], "compare": ["a", "b"]}.get(job, [])
        arguments = command_line.parser_of(job).parse_args(["--config", "c", *required])
        assert (arguments.log_format, arguments.log_level) == ("text", "info")
