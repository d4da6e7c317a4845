"""A Spark application of a test's own on real executors, and ranks of a module of the tests' own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from pipelines.launch import hydra
from pipelines.runtime.session import APPLICATION_ID
from tests.java import BRIEF_APPLICATION

RANK = "pipelines.training.rank"


def two_executors(name: str, more: dict[str, str]) -> SparkSession:
    """A session on two executors of one slot and a GiB each."""
    # Two that start in the same second, in two workers of the tests, would share their executors' folders.
    return application("local-cluster[2,1,1024]", name, {APPLICATION_ID: f"launch-%s-%04d-{os.getpid()}", **more})


def application(master: str, name: str, more: dict[str, str]) -> SparkSession:
    """A session on executors of one slot and a GiB, whose driver listens on the loopback alone."""
    builder = SparkSession.builder.master(master).appName(name)
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "1g",
        "spark.executor.cores": "1",
        **BRIEF_APPLICATION,
        **more,
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


@contextmanager
def ranks_run(module: str) -> Iterator[None]:
    """Have launches within the context run a module instead of `pipelines.training.rank`."""
    command = hydra.RANK
    hydra.RANK = tuple(part.replace(RANK, module) for part in command)
    try:
        yield
    finally:
        hydra.RANK = command
