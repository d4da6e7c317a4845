"""A step as it happens: Spark's tasks done of all, by source; moving lines on a terminal, one now and then elsewhere."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import NamedTuple

from pyspark import StatusTracker
from pyspark.sql import SparkSession
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from pipelines.runtime.activity import Activity

LOG = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_LINES = 30.0
BAR = 30


class Tasks(NamedTuple):
    """How many tasks are done, of those that Spark knows of so far."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,} tasks"


class TaskCounts:
    """Counts the tasks of job groups by Spark's status tracker; a look asks for new jobs and active stages alone."""

    def __init__(self, tracker: StatusTracker) -> None:
        self._tracker = tracker
        self._jobs: set[int] = set()
        self._groups: dict[int, str] = {}  # of stages
        self._stages: dict[int, Tasks] = {}

    def look(self, groups: Iterable[str]) -> None:
        """Ask Spark how far the groups are."""
        for group in groups:
            for job in set(self._tracker.getJobIdsForGroup(group)) - self._jobs:
                self._jobs.add(job)
                if info := self._tracker.getJobInfo(job):
                    for stage in info.stageIds:
                        self._groups[stage] = group
                        self._count(stage)
        active = set(self._tracker.getActiveStageIds()) & self._groups.keys()
        for stage, tasks in self._stages.items():
            if stage not in active:  # it has ended since
                self._stages[stage] = Tasks(tasks.total, tasks.total)
        for stage in active:
            self._count(stage, begun=True)

    def _count(self, stage: int, *, begun: bool = False) -> None:
        """Take a stage in, unless it has not begun: what an earlier job did already, Spark leaves out."""
        info = self._tracker.getStageInfo(stage)
        if info and (begun or info.numCompletedTasks):
            self._stages[stage] = Tasks(info.numCompletedTasks, info.numTasks)

    def of(self, group: str | None = None) -> Tasks:
        """A group's tasks; without one those of all groups."""
        counted = [tasks for stage, tasks in self._stages.items() if group in (None, self._groups[stage])]
        return Tasks(sum(tasks.done for tasks in counted), sum(tasks.total for tasks in counted))


class StepProgress:
    """Shows how far a step is while it is entered. Spark's own progress bar stays off: it knows of no sources."""

    def __init__(self, console: Console, spark: SparkSession, step: str, activity: Activity) -> None:
        self._console, self._spark, self._step, self._activity = console, spark, step, activity
        self._counts = TaskCounts(spark.sparkContext.statusTracker())
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._resources = ExitStack()
        self._line_at = SECONDS_BETWEEN_LINES  # since the step's start

    def __enter__(self) -> StepProgress:
        self._resources.enter_context(self._activity.step(self._spark.sparkContext, self._step))
        if not self._console.quiet:
            if self._live:
                self._resources.enter_context(self._live)
            self._thread.start()
            self._resources.callback(self._end)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._resources.close()

    def _end(self) -> None:
        self._stop.set()
        self._thread.join(SECONDS_BETWEEN_LOOKS)

    def _run(self) -> None:
        with suppress(Exception):  # Spark is about to end, and whoever works says why
            while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
                running = dict(self._activity.running)
                self._counts.look(running)
                self.show(running, time.monotonic())

    def show(self, running: dict[str, float], now: float) -> None:
        """Show the groups that run, each with its start, at a moment of the monotonic clock."""
        if self._live:
            self._live.update(self._grid(running, now), refresh=True)
        elif now - running.get(self._step, now) >= self._line_at:
            self._line_at += SECONDS_BETWEEN_LINES
            sources = [
                f"{group.removeprefix(f'{self._step}: ')} {self._counts.of(group)}" for group in running if ": " in group
            ]
            details = f" ({', '.join(sources)})" if sources else ""
            seconds = now - running[self._step]
            LOG.info(f"{self._step:>9}: {seconds:5.0f} s  {self._counts.of()}{details}")

    def _grid(self, running: dict[str, float], now: float) -> Table:
        grid = Table.grid(padding=(0, 2))
        for group, since in running.items():
            tasks = self._counts.of(None if group == self._step else group)
            bar = ProgressBar(total=max(tasks.total, 1), completed=tasks.done, width=BAR)
            grid.add_row(f"{'':{max(9 - len(self._step), 0)}}{group}", bar, str(tasks), f"{now - since:.0f} s")
        return grid
