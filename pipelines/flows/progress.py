"""Training as it happens: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipelines.config import MONITOR_NAMES
from pipelines.flows.log_context import LOG
from pipelines.launch.channel import Message
from pipelines.launch.watch import EXPORT

SECONDS_BETWEEN_LINES = 5.0
RANKS_SHOWN = 4
VALIDATE = "validate"  # a phase of a rank's, between epochs


class TrainingProgress:
    """Shows epoch, step, rows a second, loss and the time left, from the ranks' messages."""

    def __init__(self, console: Console, epochs: int, steps: int) -> None:
        self._console = console
        self._epochs, self._steps = epochs, steps
        self._started: float | None = None
        self._begun: int | None = None  # steps that were done when this attempt began
        self._epoch = 0  # the one that runs
        self._beats: dict[int, Message] = {}
        self._last_line = 0.0
        columns = (TextColumn("    train:"), BarColumn(30), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("ranks are starting", total=epochs * steps) if self._bar else None

    def show(self, message: Message) -> None:
        """Show one message of a rank."""
        with LOG.of_rank(message.get("rank")):
            self._show(message)

    def _show(self, message: Message) -> None:
        if message["kind"] == "ready" and message["rank"] == 0:
            self._started, self._begun = time.monotonic(), None
        if message["kind"] == "beat":
            self._beats[message["rank"]] = message
            self._show_phase(message)
        if message["kind"] == "step":
            self._show_step(message)
        if message["kind"] == "epoch":
            self._console.print(
                f"    epoch {message['epoch'] + 1:>2}/{self._epochs}  loss {message['train_loss']:.4f}  validation loss "
                f"{message['validation_loss']:.4f}  {_metric(message)}  "
                f"{message['rows_per_second']:>9,.0f} rows/s{'  best' if message['best'] else ''}"
            )
            self._show_epoch(message["epoch"] + 1, "begins")
        if message["kind"] == "parity":
            self._console.print(
                f"    parity: {message['rows']:,} raw rows, features differ from Spark's by {message['difference']:.1e} at most"
            )
            self._console.print(f"    {_onnx(message['onnx'])}", markup=False)

    def _show_phase(self, beat: Message) -> None:
        """Show rank 0's epoch while no step says more: before its first steps are done, and while it validates or exports."""
        if beat["rank"] or self._started is None:
            return
        if beat.get("phase") == EXPORT:
            self._describe("the best epoch's model is exported")
        elif beat.get("phase") == VALIDATE:
            self._show_epoch(beat["epoch"], "validates")
        elif beat.get("epoch", self._epoch) != self._epoch or not beat.get("step"):
            self._show_epoch(beat.get("epoch", 0), "begins")

    def _show_epoch(self, epoch: int, what: str) -> None:
        self._epoch = epoch
        if epoch < self._epochs:
            self._describe(f"epoch {epoch + 1}/{self._epochs} {what}")

    def _describe(self, text: str) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=text)

    def _show_step(self, message: Message) -> None:
        done = (message["epoch"] + 1) * self._steps - message["steps"] + message["step"]
        if self._begun is None:
            self._begun = done - message["step"]
        elapsed = time.monotonic() - (self._started or time.monotonic())
        self._epoch = message["epoch"]
        left = elapsed * (self._epochs * self._steps - done) / max(done - self._begun, 1)
        text = (
            f"epoch {message['epoch'] + 1}/{self._epochs} step {message['step']}/{message['steps']}  "
            f"{message['rows_per_second']:,.0f} rows/s  loss {message['loss']:.4f}  {left:.0f} s left{self._shares()}"
        )
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, description=text, refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(f"    {text}")

    def _shares(self) -> str:
        """Each rank's shares of compute, wait and feed in this epoch; of many ranks those of the busiest and the least busy."""
        shares = sorted(filter(None, map(_share, self._beats.values())), reverse=True)
        shown = shares if len(shares) <= RANKS_SHOWN else [shares[0], shares[-1]]
        told = ", ".join(f"{compute:.0%}/{wait:.0%}/{feed:.0%}" for compute, wait, feed in shown)
        return f"  compute/wait/feed {told}" if told else ""

    def __enter__(self) -> TrainingProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()


def _share(beat: Message) -> tuple[float, float, float] | None:
    seconds = [float(beat[f"{name}_seconds"]) for name in ("compute", "wait", "feed")]
    total = sum(seconds)
    return (seconds[0] / total, seconds[1] / total, seconds[2] / total) if total else None


def _metric(message: Message) -> str:
    """The metric that an epoch's message holds, by its short name."""
    return next(f"{short} {message[name]:.4f}" for name, short in MONITOR_NAMES.items() if name in message)


def _onnx(found: dict[str, Any]) -> str:
    """What became of the model as ONNX."""
    if found["missing"]:
        return f"no ONNX model: {found['missing']}"
    prepared = f"; it takes prepared inputs: {found['prepared']}" if found.get("prepared") else ""
    return (
        f"ONNX model: features differ from Spark's by {found['features']:.1e} at most, scores from the SavedModel's by "
        f"{found['scores']:.1e}{prepared}"
    )
