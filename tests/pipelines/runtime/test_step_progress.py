"""Steps show Spark's tasks by source: a moving line each on a terminal, one line in half a minute elsewhere."""

from __future__ import annotations

import io
import time

import pytest
from pyspark import SparkJobInfo, SparkStageInfo
from pyspark.sql import SparkSession
from rich.console import Console

from pipelines.runtime.activity import GROUP, Activity
from pipelines.runtime.step_progress import StepProgress, TaskCounts, Tasks


class Tracker:
    """Spark's status tracker, as a test has it: jobs by group, their stages, and tasks done of all by stage."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[int, list[int]]] = {}
        self.stages: dict[int, tuple[int, int]] = {}
        self.active: set[int] = set()

    def getJobIdsForGroup(self, group: str) -> list[int]:  # noqa: N802
        return list(self.jobs.get(group, {}))

    def getJobInfo(self, job: int) -> SparkJobInfo:  # noqa: N802
        stages = next(of[job] for of in self.jobs.values() if job in of)
        return SparkJobInfo(job, stages, "RUNNING")

    def getActiveStageIds(self) -> list[int]:  # noqa: N802
        return list(self.active)

    def getStageInfo(self, stage: int) -> SparkStageInfo:  # noqa: N802
        done, total = self.stages[stage]
        return SparkStageInfo(stage, 0, "stage", total, 0, done, 0)


@pytest.fixture
def tracker() -> Tracker:
    """Two sources: flights has a stage that was skipped (0), one done (1) and one at work (2); weather one at work (3)."""
    fake = Tracker()
    fake.jobs = {"clean: flights": {0: [0, 1, 2]}, "clean: weather": {1: [3]}, "other": {2: [4]}}
    fake.stages = {0: (0, 50), 1: (4, 4), 2: (1, 8), 3: (0, 2), 4: (1, 100)}
    fake.active = {2, 3, 4}
    return fake


def test_tasks_are_counted_by_source_without_stages_that_spark_skips(tracker: Tracker) -> None:
    counts = TaskCounts(tracker)  # type: ignore[arg-type]
    groups = ("clean", "clean: flights", "clean: weather")
    counts.look(groups)
    assert (counts.of("clean: flights"), counts.of("clean: weather"), counts.of()) == ((5, 12), (0, 2), (5, 14))
    tracker.active = {3}  # the flights' stage has ended since; another job of theirs began
    tracker.jobs["clean: flights"][5] = [6]
    tracker.stages |= {3: (1, 2), 6: (0, 3)}
    tracker.active.add(6)
    counts.look(groups)
    assert (counts.of("clean: flights"), counts.of()) == ((12, 15), (13, 17))


def progress_on(spark: SparkSession, tracker: Tracker, *, terminal: bool) -> tuple[StepProgress, io.StringIO]:
    """The progress of clean on a console of its own, which has looked once."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, highlight=False)
    progress = StepProgress(console, spark, "clean", Activity())
    progress._counts = TaskCounts(tracker)  # type: ignore[arg-type]
    progress._counts.look(("clean: flights", "clean: weather"))
    return progress, text


RUNNING = {"clean": 100.0, "clean: flights": 102.0}


def test_without_a_terminal_there_is_a_line_every_half_minute(
    spark: SparkSession, tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    progress, _ = progress_on(spark, tracker, terminal=False)
    for now in (101.0, 129.9, 130.0, 131.0, 159.9, 160.5):
        progress.show(RUNNING, now)
    assert caplog.messages == [
        "    clean:    30 s  5 of 14 tasks (flights 5 of 12 tasks)",
        "    clean:    60 s  5 of 14 tasks (flights 5 of 12 tasks)",
    ]


def test_on_a_terminal_step_and_sources_have_a_line_each_with_tasks_and_seconds(spark: SparkSession, tracker: Tracker) -> None:
    progress, text = progress_on(spark, tracker, terminal=True)
    assert progress._live
    with progress._live:
        progress.show(RUNNING, 107.0)
    output = text.getvalue()
    step, source = (next(line for line in output.splitlines() if name in line) for name in ("clean  ", "clean: flights"))
    assert "5 of 14 tasks  7 s" in step
    assert "5 of 12 tasks  5 s" in source


def test_the_jobs_of_a_source_are_in_its_group_and_are_counted(spark: SparkSession) -> None:
    context, activity = spark.sparkContext, Activity()
    counts = TaskCounts(context.statusTracker())
    before = context.getLocalProperty(GROUP)
    with activity.step(context, "step"), activity.source(context, "one"):
        assert list(activity.running) == ["step", "step: one"]
        spark.range(0, 100, numPartitions=3).rdd.count()
    deadline = time.monotonic() + 10
    while counts.of("step: one") != Tasks(3, 3) and time.monotonic() < deadline:  # Spark's listener is a little behind
        counts = TaskCounts(context.statusTracker())
        counts.look(("step", "step: one"))
    assert counts.of("step: one") == Tasks(3, 3)
    assert (activity.running, context.getLocalProperty(GROUP)) == ({}, before)
