"""How a job logs: one handler, which shows the records of Python's logging as text or, with `--log-format json`, as JSON.

A module logs by `logging.getLogger(__name__)`. What is for eyes alone, a table or a line that moves, is printed on the
handler's console instead.
"""

from __future__ import annotations

import logging
import sys
import traceback
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pipelines.runtime.log_context import LOG_CONTEXT, visible

if TYPE_CHECKING:  # a job's help imports no Rich
    from rich.console import Console

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
DEFAULT_LEVEL = "info"
STYLES = {logging.DEBUG: "dim", logging.WARNING: "yellow"}
OWN = "pipelines"  # whose loggers have the level that the command line names; others have `warning` at least

# What goes with a record, as its `extra`.
DIM, BOLD = {"style": "dim"}, {"style": "bold"}
TO_STDERR = {"to_stderr": True}
"""A warning about the job itself, not about the step that it is at work on."""


class JobHandler(logging.Handler, ABC):
    """Shows a job's records on its console, and on standard error those that end the job, or come from a library."""

    @cached_property
    def console(self) -> Console:
        """Where records are shown, and where tables and moving lines have to be printed to not cut through them."""
        from pipelines.runtime.terminal import console

        return console()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.levelno >= logging.ERROR or not _is_own(record) or getattr(record, "to_stderr", False):
                print(self.line(record), file=sys.stderr, flush=True)
            else:
                self.show(record)
        except Exception:  # noqa: BLE001 (as every handler of Python's: a log that can't be written ends no job)
            self.handleError(record)

    @abstractmethod
    def line(self, record: logging.LogRecord) -> str:
        """A record as text for standard error."""

    @abstractmethod
    def show(self, record: logging.LogRecord) -> None:
        """Show a record on the console."""


class TextHandler(JobHandler):
    """Shows records as lines for people: warnings in yellow, without time and level.

    A record whose logger has a handler of its own is left to that, as PySpark's are.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether nobody else shows it."""
        return bool(super().filter(record)) and (_is_own(record) or not logging.getLogger(record.name).handlers)

    def line(self, record: logging.LogRecord) -> str:
        """One of ringmill's begins with that name; one with an exception is its traceback, whose end says the same."""
        text, trace = visible(record.getMessage()), _trace(record)
        if not _is_own(record):
            return "\n".join(part for part in (f"{record.levelname.lower()}: {record.name}: {text}", trace.rstrip()) if part)
        return trace.rstrip() or f"ringmill: {'warning: ' if record.levelno == logging.WARNING else ''}{text}"

    def show(self, record: logging.LogRecord) -> None:
        """Print it whole, however wide the terminal is."""
        style = getattr(record, "style", STYLES.get(record.levelno))
        self.console.print(record.getMessage(), style=style, soft_wrap=True, markup=False, highlight=False, emoji=False)


class JsonHandler(JobHandler):
    """Shows records as JSON objects, one a line, with the pipeline, job, step, run, interval and rank that they are about."""

    def line(self, record: logging.LogRecord) -> str:
        """One object; a library's has the name of its logger."""
        more = {} if _is_own(record) else {"logger": record.name}
        if trace := _trace(record):
            more["trace"] = trace
        return LOG_CONTEXT.json_line(record.levelname.lower(), record.getMessage().strip(), **more)

    def show(self, record: logging.LogRecord) -> None:
        """Write it past the console, which would make an object of each line of a text."""
        self.console.file.write(f"{self.line(record)}\n")
        self.console.file.flush()


def begin_log(job: str, *, json_lines: bool) -> JobHandler:
    """A job begins: forget the one before, and log from `info` on, as text or JSON."""
    end_log()
    LOG_CONTEXT.begin(job, json_lines=json_lines)
    handler = JsonHandler() if json_lines else TextHandler()
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(capture=json_lines)
    set_level(DEFAULT_LEVEL)
    return handler


def end_log() -> None:
    """Take a job's handler away, and leave Python's logging as it was."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, JobHandler):
            root.removeHandler(handler)
    logging.captureWarnings(capture=False)
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN).setLevel(logging.NOTSET)


def set_level(name: str) -> None:
    """Log what is of a level of `LEVELS` or above; of libraries nothing below `warning`."""
    logging.getLogger(OWN).setLevel(LEVELS[name])
    logging.getLogger().setLevel(max(LEVELS[name], logging.WARNING))


def job_handler() -> JobHandler | None:
    """The handler of the job that has begun, if one has."""
    return next((handler for handler in logging.getLogger().handlers if isinstance(handler, JobHandler)), None)


def job_console() -> Console:
    """The console of the job that has begun; outside of a job a new one."""
    from pipelines.runtime.terminal import console

    handler = job_handler()
    return handler.console if handler else console()


def log_end(logger: logging.Logger, text: str, bug: BaseException | None = None) -> None:
    """Log why a job ends, with the traceback of a bug: also once an interruption has disabled logging (signals.Stopper)."""
    exc_info = None if bug is None else (type(bug), bug, bug.__traceback__)
    logger.handle(logger.makeRecord(logger.name, logging.ERROR, "", 0, text, (), exc_info))


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == OWN


def _trace(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "".join(traceback.format_exception(error)) if error else ""
