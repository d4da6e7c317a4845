"""The end of a program that leads a session of its own, and of all that it has started there, within a bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def end_session(program: subprocess.Popen[bytes], seconds: float) -> None:
    """Send SIGTERM to a program, then to each other process group of its session, and after `seconds` SIGKILL to what is left.

    The program gets its signal first, so that it starts nothing new while others end. A group that it starts all the same gets
    SIGTERM, too. An interruption of this function kills what is left at once.
    """
    deadline = time.monotonic() + seconds
    signalled: set[int] = set()
    try:
        program.terminate()
        while (groups := process_groups(program.pid)) and time.monotonic() < deadline:
            # The program's own group gets no second signal from here while the program is at work on its end.
            waiting = {program.pid} if program.poll() is None else set()
            for group in groups - signalled - waiting:
                _signal_group(group, signal.SIGTERM)
            signalled |= groups - waiting
            time.sleep(0.1)
    finally:
        for group in process_groups(program.pid):
            _signal_group(group, signal.SIGKILL)
        program.wait()


def process_groups(session: int) -> set[int]:
    """The process groups of a session that have a process other than a zombie."""
    groups = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            # After the name in parentheses: state, parent, process group, session.
            state, _, group, leader = path.read_text().rpartition(")")[2].split()[:4]
            if int(leader) == session and state != "Z":
                groups.add(int(group))
    return groups


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
