"""SIGINT and SIGTERM, turned into one exception that unwinds a run in order.

The first signal raises `Interrupted` in the main thread. What must not be cut in two (a publication, a row of `runs`) is
shielded: there the exception waits for the end. Later signals are ignored for `GRACE_SECONDS`, in which the run drops what it
staged and records itself; after that the next one ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by a signal. It is no Exception, so whatever handles errors lets it pass.

    `exit_code` is 128 and the signal's number, as shells have it; `recorded` says whether the table `runs` has it.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number
        self.recorded = False


class Interruption:
    """The signals of this process: the first one, and how many shields are up."""

    def __init__(self) -> None:
        self.last_words = "ringmill: interrupted once more, and ended at once."
        self._listeners: list[Callable[[], None]] = []
        self._shields = 0
        self._reset()

    def _reset(self) -> None:
        self.number: int | None = None
        self._at = 0.0
        self._raised: Interrupted | None = None
        self._over = False

    def begin(self) -> None:
        """A run begins: handle signals, of which none has come yet."""
        self._reset()
        self.install()

    def install(self) -> None:
        """Handle both signals; a thread that is not the main one can't, and changes nothing."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.handle)

    def handle(self, number: int, _frame: FrameType | None = None) -> None:
        """Take a signal, as the module says."""
        if self.number is None:
            if not self._over:
                self.number, self._at = number, time.monotonic()
                self._raise_unless_shielded()
        elif time.monotonic() - self._at > GRACE_SECONDS:
            os.write(2, f"{self.last_words}\n".encode())
            os._exit(128 + number)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` in the main thread before `Interrupted` is raised. It must not wait for anything."""
        self._listeners.append(listener)

    def cause(self, error: BaseException) -> Interrupted | None:
        """The interruption behind an error, None without one: what is cancelled, or cleans up, may fail in its own way."""
        if isinstance(error, Interrupted):
            return error
        return self._raised or (Interrupted() if isinstance(error, KeyboardInterrupt) else None)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Within it a signal waits; `Interrupted` is raised at the end of the outermost shield."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self._raise_unless_shielded()

    def over(self) -> None:
        """The run's work is done or has failed: a first signal changes nothing any more, since the process is about to end."""
        self._over = True

    def _raise_unless_shielded(self) -> None:
        if self.number is None or self._shields or self._raised:
            return
        if threading.current_thread() is threading.main_thread():
            self._raised = Interrupted(self.number)
            for listener in self._listeners:
                listener()
            raise self._raised


PROCESS = Interruption()
"""The one of this process."""


def end_process(code: int) -> NoReturn:
    """End the process at once, without waiting for other threads or tearing modules down; what was printed is kept.

    To tear down what a job has imported takes half a second.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # nobody reads it any more, or it was closed from the start
            stream.flush()
    os._exit(code)
