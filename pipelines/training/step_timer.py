"""Times a rank's work, and sends the driver a heartbeat every second so that it can name a rank that hangs or lags."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from pipelines.messages import Heartbeat
from pipelines.training.reporter import Reporter

SECONDS_BETWEEN_HEARTBEATS = 1.0
FEED, COMPUTE, WAIT, VALIDATE, CHECKPOINT, EXPORT = "feed", "compute", "wait", "validate", "checkpoint", "export"


class StepTimer:
    """A rank's position (epoch, step, phase) and its seconds in this epoch: of feed, compute, and wait for the other ranks.

    `computed` gives the steps that the process has computed so far, and is called while others are being computed.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.computed: Callable[[], int] = int
        self._reporter = reporter
        self._phase = "start"
        self._epoch = self._step = 0
        self._since = time.monotonic()
        self._seconds = {FEED: 0.0, COMPUTE: 0.0, WAIT: 0.0}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send_heartbeats, name="pulse", daemon=True)

    def begin(self, epoch: int) -> None:
        """A new epoch: its seconds start from nothing."""
        self._epoch, self._step = epoch, 0
        self._seconds = dict.fromkeys(self._seconds, 0.0)

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Count the time of a piece of work to its phase."""
        self._phase, self._since = phase, time.monotonic()
        try:
            yield
        finally:
            if phase in self._seconds:
                self._seconds[phase] += time.monotonic() - self._since
            self._phase, self._since = "between", time.monotonic()

    def stepped(self, steps: int, wait: float) -> None:
        """So many steps more are done; of the time of their call, `wait` seconds went by in the all-reduce."""
        self._step += steps
        self._seconds[COMPUTE] -= wait
        self._seconds[WAIT] += wait

    def seconds(self) -> dict[str, float]:
        """Seconds of the epoch so far, as the receipts name them."""
        return {f"{name}_seconds": value for name, value in self._seconds.items()}

    def _send_heartbeats(self) -> None:
        while not self._stopped.wait(SECONDS_BETWEEN_HEARTBEATS):
            position = {"epoch": self._epoch, "step": self._step, "phase": self._phase}
            self._reporter.send(Heartbeat(**position, computed=self.computed(), **self.seconds()))

    def __enter__(self) -> StepTimer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()
