"""Training as it happens: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipelines.config import MONITOR_NAMES
from pipelines.launch.channel import Message

SECONDS_BETWEEN_LINES = 5.0


class TrainingProgress:
    """Shows epoch, step, rows a second, loss and the time left, from the ranks' messages."""

    def __init__(self, console: Console, epochs: int, steps: int) -> None:
        self._console = console
        self._epochs, self._steps = epochs, steps
        self._started: float | None = None
        self._last_line = 0.0
        columns = (TextColumn("    train:"), BarColumn(30), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("ranks are starting", total=epochs * steps) if self._bar else None

    def show(self, message: Message) -> None:
        """Show one message of a rank."""
        if message["kind"] == "ready" and self._started is None:
            self._started = time.monotonic()
        if message["kind"] == "step":
            self._show_step(message)
        if message["kind"] == "epoch":
            self._console.print(
                f"    epoch {message['epoch'] + 1:>2}/{self._epochs}  loss {message['train_loss']:.4f}  validation loss "
                f"{message['validation_loss']:.4f}  {_metric(message)}  "
                f"{message['rows'] / message['seconds']:>9,.0f} rows/s{'  best' if message['best'] else ''}"
            )
        if message["kind"] == "parity":
            self._console.print(
                f"    parity: {message['rows']:,} raw rows, features differ from Spark's by {message['difference']:.1e} at most"
            )

    def _show_step(self, message: Message) -> None:
        done = message["epoch"] * self._steps + message["step"]
        elapsed = time.monotonic() - (self._started or time.monotonic())
        left = elapsed * (self._epochs * self._steps - done) / done
        text = (
            f"epoch {message['epoch'] + 1}/{self._epochs} step {message['step']}/{message['steps']}  "
            f"{message['rows_per_second']:,.0f} rows/s  loss {message['loss']:.4f}  {left:.0f} s left"
        )
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(f"    {text}")

    def __enter__(self) -> TrainingProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()


def _metric(message: Message) -> str:
    """The metric that an epoch's message holds, by its short name."""
    return next(f"{short} {message[name]:.4f}" for name, short in MONITOR_NAMES.items() if name in message)
