"""The memory that an application's processes take together."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil


def peak_memory(process: subprocess.Popen[bytes]) -> Callable[[], float]:
    """Watch a process and its children; the most memory that they had resident together, in bytes.

    A page that several share counts once (PSS): a program that Java starts has all of Java's pages until it runs.
    """
    peaks = [0.0]

    def watch() -> None:
        while process.poll() is None:
            with suppress(psutil.Error):  # one of them ended while it was looked at
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                peaks[0] = max(peaks[0], sum(_resident(member.pid) for member in family))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    return lambda: peaks[0]


def _resident(process: int) -> float:
    """Bytes; none of a process that has ended, or that nobody has waited for yet."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
