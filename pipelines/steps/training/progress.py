"""Training as it happens: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipelines.config import MONITOR_NAMES
from pipelines.launch.stall_detector import EXPORT
from pipelines.messages import EpochReport, Heartbeat, Message, OnnxReport, ParityReport, Ready, StepReport
from pipelines.runtime.log_context import LOG_CONTEXT

LOG = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0
RANKS_SHOWN = 4
VALIDATE = "validate"  # a phase of a rank's, between epochs


class TrainingProgress:
    """Shows epoch, step, rows a second, loss and the time left, from the ranks' messages.

    Epochs are logged at a level; steps move on a terminal, and are logged now and then elsewhere.
    """

    def __init__(self, console: Console, epochs: int, steps: int, level: int = logging.INFO) -> None:
        self._level = level
        self._epochs, self._steps = epochs, steps
        self._started: float | None = None
        self._begun: int | None = None  # steps that were done when this attempt began
        self._epoch = 0  # the one that runs
        self._heartbeats: dict[int, Heartbeat] = {}
        self._last_line = 0.0
        columns = (TextColumn("    train:"), BarColumn(30), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("ranks are starting", total=epochs * steps) if self._bar else None

    def show(self, message: Message) -> None:
        """Show one message of a rank."""
        with LOG_CONTEXT.of_rank(message.rank):
            self._show(message)

    def _show(self, message: Message) -> None:
        match message.content:
            case Ready() if message.rank == 0:
                self._started, self._begun = time.monotonic(), None
            case Heartbeat() as heartbeat:
                self._heartbeats[message.rank] = heartbeat
                if message.rank == 0:
                    self._show_phase(heartbeat)
            case StepReport() as report:
                self._show_step(report)
            case EpochReport() as report:
                self._show_report(report)
            case ParityReport() as parity:
                difference = f"features differ from Spark's by {parity.difference:.1e} at most"
                self._log(f"parity: {parity.rows:,} raw rows, {difference}")
                self._log(_onnx(parity.onnx))

    def _show_report(self, report: EpochReport) -> None:
        self._log(
            f"epoch {report.epoch + 1:>2}/{self._epochs}  loss {report.train_loss:.4f}  validation loss "
            f"{report.validation_loss:.4f}  {_metric(report)}  "
            f"{report.rows_per_second:>9,.0f} rows/s{'  best' if report.best else ''}"
        )
        self._show_epoch(report.epoch + 1, "begins")

    def _show_phase(self, heartbeat: Heartbeat) -> None:
        """Show rank 0's epoch while no step says more: before its first steps are done, and while it validates or exports."""
        if self._started is None:
            return
        if heartbeat.phase == EXPORT:
            self._describe("the best epoch's model is exported")
        elif heartbeat.phase == VALIDATE:
            self._show_epoch(heartbeat.epoch, "validates")
        elif heartbeat.epoch != self._epoch or not heartbeat.step:
            self._show_epoch(heartbeat.epoch, "begins")

    def _show_epoch(self, epoch: int, what: str) -> None:
        self._epoch = epoch
        if epoch < self._epochs:
            self._describe(f"epoch {epoch + 1}/{self._epochs} {what}")

    def _describe(self, text: str) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=text)

    def _show_step(self, report: StepReport) -> None:
        done = (report.epoch + 1) * self._steps - report.steps + report.step
        if self._begun is None:
            self._begun = done - report.step
        elapsed = time.monotonic() - (self._started or time.monotonic())
        self._epoch = report.epoch
        remaining = elapsed * (self._epochs * self._steps - done) / max(done - self._begun, 1)
        text = (
            f"epoch {report.epoch + 1}/{self._epochs} step {report.step}/{report.steps}  "
            f"{report.rows_per_second:,.0f} rows/s  loss {report.loss:.4f}  {remaining:.0f} s left{self._shares()}"
        )
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, description=text, refresh=True)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._log(text)

    def _log(self, text: str) -> None:
        LOG.log(self._level, f"    {text}")

    def _shares(self) -> str:
        """Each rank's shares of compute, wait and feed in this epoch; of many ranks those of the busiest and the least busy."""
        shares = sorted((each.shares() for each in self._heartbeats.values() if each.step), reverse=True)
        shown = shares if len(shares) <= RANKS_SHOWN else [shares[0], shares[-1]]
        text = ", ".join(f"{compute:.0%}/{wait:.0%}/{feed:.0%}" for compute, wait, feed in shown)
        return f"  compute/wait/feed {text}" if text else ""

    def __enter__(self) -> TrainingProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()


def _metric(report: EpochReport) -> str:
    """The metric that an epoch's report holds, by its short name."""
    values = report.validation()
    return next(f"{short} {values[name]:.4f}" for name, short in MONITOR_NAMES.items() if name in values)


def _onnx(report: OnnxReport) -> str:
    """What became of the model as ONNX."""
    if report.missing:
        return f"no ONNX model: {report.missing}"
    prepared = f"; it takes prepared inputs: {report.prepared}" if report.prepared else ""
    return (
        f"ONNX model: features differ from Spark's by {report.features:.1e} at most, scores from the SavedModel's by "
        f"{report.scores:.1e}{prepared}"
    )
