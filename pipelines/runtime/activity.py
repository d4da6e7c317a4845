"""Which work a step does now, by the job groups in which Spark runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import SparkContext

GROUP = "spark.jobGroup.id"


class Activity:
    """The job groups of a step and of those of its sources that are at work, each with its start by the monotonic clock."""

    def __init__(self) -> None:
        self.running: dict[str, float] = {}

    @contextmanager
    def step(self, spark: SparkContext, name: str) -> Iterator[None]:
        """Within it the jobs of this thread, and of those that inherit from it, are of the group `name`."""
        with self._group(spark, name):
            yield

    @contextmanager
    def source(self, spark: SparkContext, name: str) -> Iterator[None]:
        """The same for the work on one source of the step: the group `step: name`."""
        with self._group(spark, f"{spark.getLocalProperty(GROUP) or ''}: {name}"):
            yield

    @contextmanager
    def _group(self, spark: SparkContext, group: str) -> Iterator[None]:
        before = spark.getLocalProperty(GROUP)
        spark.setLocalProperty(GROUP, group)
        self.running[group] = time.monotonic()
        try:
            yield
        finally:
            del self.running[group]
            spark.setLocalProperty(GROUP, before)  # type: ignore[arg-type] # None: as it was
