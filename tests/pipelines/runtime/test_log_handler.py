"""What a job logs is shown by its level: on the console, or on standard error where it ends the job or is a library's."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from pipelines.runtime.command_line import main
from pipelines.runtime.log_handler import BOLD, TO_STDERR, JobHandler, job_handler, log_end, set_level
from pipelines.runtime.terminal import PlainConsole
from pipelines.steps.ingest import STEP as INGEST
from tests.pipelines.conftest import Run

LOG = logging.getLogger("pipelines.steps.clean")
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning"]),
        ("info", ["info", "warning"]),
        ("warning", ["warning"]),
        ("error", []),
    ],
)
def test_messages_of_the_level_and_above_are_shown(level: str, shown: list[str], capsys: Captured) -> None:
    set_level(level)
    for name in ("debug", "info", "warning", "error"):
        LOG.log(getattr(logging, name.upper()), name)
    written = capsys.readouterr()
    assert written.out.splitlines() == shown
    assert written.err == "ringmill: error\n"


def test_a_level_of_the_command_line_holds_from_there_on() -> None:
    assert main("clean", ["--config", "none.yaml", "--log-level", "debug"]) == 2
    assert LOG.isEnabledFor(logging.DEBUG)
    assert main("clean", ["--config", "none.yaml"]) == 2
    assert not LOG.isEnabledFor(logging.DEBUG) and LOG.isEnabledFor(logging.INFO)


def test_an_unknown_level_is_refused(capsys: Captured) -> None:
    assert main("status", ["--config", "c", "--log-level", "loud"]) == 2
    assert "argument --log-level: invalid choice: 'loud'" in capsys.readouterr().err


def test_warnings_are_yellow_and_no_line_is_cut(job_log: JobHandler) -> None:
    out = io.StringIO()
    job_log.console = PlainConsole(file=out, width=40, force_terminal=True, color_system="standard")
    LOG.warning("word " * 20 + "end")
    LOG.info("interval 1 of 2", extra=BOLD)
    LOG.info("[bold]plain[/]")
    assert out.getvalue().splitlines() == [
        f"\x1b[33m{'word ' * 20}end\x1b[0m",
        "\x1b[1minterval 1 of 2\x1b[0m",
        "[bold]plain[/]",
    ]


def test_warnings_about_the_job_and_records_of_libraries_go_to_standard_error(capsys: Captured) -> None:
    LOG.warning("notify.url: not set", extra=TO_STDERR)
    logging.getLogger("some.library").warning("no %s", "server")
    logging.getLogger("some.library").info("connected")
    assert capsys.readouterr() == ("", "ringmill: warning: notify.url: not set\nwarning: some.library: no server\n")


def test_a_record_whose_logger_has_its_own_handler_is_not_shown_twice(capsys: Captured) -> None:
    logger, out = logging.getLogger("some.other.library"), io.StringIO()
    logger.addHandler(logging.StreamHandler(out))
    logger.warning("once")
    assert (out.getvalue(), capsys.readouterr()) == ("once\n", ("", ""))


def test_why_a_job_ends_is_logged_after_an_interruption_has_disabled_logging(capsys: Captured) -> None:
    logging.disable()
    try:
        LOG.error("a cancelled job's error")
        log_end(LOG, "clean interrupted by SIGTERM")
    finally:
        logging.disable(logging.NOTSET)
    assert capsys.readouterr() == ("", "ringmill: clean interrupted by SIGTERM\n")


def test_each_job_has_a_handler_of_its_own(job_log: JobHandler) -> None:
    main("clean", ["--config", "none.yaml"])
    assert job_handler() is not job_log
    assert sum(isinstance(handler, JobHandler) for handler in logging.getLogger().handlers) == 1


def test_debug_says_why_a_step_has_work_and_what_was_committed(
    visit: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "visits-05-01.csv").write_text("id,at,spent,shop\n1,2013-05-01 10:00:00,1.5,a\n")
    set_level("debug")
    first = visit(INGEST)
    assert "   ingest: to be done: no run has done it for this interval" in caplog.messages
    commit = f"table raw_visits: 1 rows published as snapshot {first.lake.snapshot_id('raw_visits')}, "
    assert [message for message in caplog.messages if message.startswith(commit) and message.endswith(" s")]
    caplog.clear()
    visit(INGEST, force=True)
    assert f"   ingest: to be done: --force, though run {first.run_id} did the same" in caplog.messages
