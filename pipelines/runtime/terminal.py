"""The driver's terminal: where progress moves, when there is one."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from pipelines.runtime.log_context import LOG_CONTEXT, visible

PLAIN_WIDTH = 120  # columns, where no terminal says how wide it is
JSON_WIDTH = 10_000  # so that no message is cut in two
WARNING = "yellow"  # the style of warnings


class PlainConsole(Console):
    """A console that shows text as it is: no markup unless a call asks for it, and no command to the terminal.

    Lines name columns, paths and received values, which may have brackets, colons and control characters in them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As Rich does, control characters written out."""
        return super().render_str(visible(text), **options)


class JsonConsole(PlainConsole):
    """A console whose every line is a JSON object of the log."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(file=out, force_terminal=False, color_system=None, width=JSON_WIDTH)

    def print(self, *objects: Any, style: Any = None, **options: Any) -> None:
        """Print objects as Rich would, each line in an object of its own; what is yellow is of level `warning`."""
        text = io.StringIO()
        plain = PlainConsole(file=text, force_terminal=False, color_system=None, width=JSON_WIDTH)
        plain.print(*objects, **options)
        level = "warning" if style == WARNING else "info"
        # Rules between a table's lines are for eyes alone.
        lines = [LOG_CONTEXT.json_line(level, line.strip()) for line in text.getvalue().splitlines() if re.search(r"\w", line)]
        self.file.write("".join(f"{line}\n" for line in lines))
        self.file.flush()


def console() -> Console:
    """A console on the terminal of whoever started the job, or on standard output as it is, in plain lines or JSON's."""
    if LOG_CONTEXT.json_lines:
        return JsonConsole(sys.stdout)
    terminal = sys.stdout if sys.stdout.isatty() else _terminal_of_spark_submit()
    if terminal is None:
        return PlainConsole(width=PLAIN_WIDTH)
    width = os.get_terminal_size(terminal.fileno()).columns or PLAIN_WIDTH  # a terminal that was never sized says 0
    return PlainConsole(file=terminal, force_terminal=True, width=width)


def _terminal_of_spark_submit() -> TextIO | None:
    """The terminal that spark-submit prints to; None without one.

    spark-submit gives a Python job a pipe and copies what comes out of it, so that no job ever sees a terminal; its own
    standard output may be one all the same.
    """
    parent = Path("/proc") / str(os.getppid())
    try:
        if parent.joinpath("comm").read_text(encoding="utf-8").strip() != "java":
            return None
        target = parent.joinpath("fd", "1").resolve(strict=True)
        terminal = target.open("w", encoding="utf-8") if target.is_char_device() else None
    except OSError:  # another user's process, or a terminal that is gone: plain lines do
        return None
    if terminal is not None and not terminal.isatty():
        terminal.close()
        return None
    return terminal
