"""The driver's terminal: where progress moves, when there is one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

from rich.console import Console

PLAIN_WIDTH = 120  # columns, where no terminal says how wide it is


def console() -> Console:
    """A console on the terminal of whoever started the job, or on standard output as it is, in plain lines."""
    terminal = sys.stdout if sys.stdout.isatty() else _terminal_of_spark_submit()
    if terminal is None:
        return Console(highlight=False, width=PLAIN_WIDTH)
    width = os.get_terminal_size(terminal.fileno()).columns or PLAIN_WIDTH  # a terminal that was never sized says 0
    return Console(file=terminal, force_terminal=True, highlight=False, width=width)


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
