"""A run's context, as a job would have it, but for what it prints."""

from __future__ import annotations

from pyspark.sql import SparkSession
from rich.console import Console

from pipelines.config import Pipeline
from pipelines.io.lake import Lake
from pipelines.runtime.context import Context
from pipelines.runtime.runs import RunLog


def quiet_context(spark: SparkSession, config: Pipeline, run_id: str) -> Context:
    """A context over the configuration's own interval and tables, which prints nothing."""
    interval = config.interval.located(config.timezone)
    lake = Lake(spark, config.pipeline, run_id)
    return Context(config, interval, spark, lake, RunLog(lake, interval), Console(quiet=True))
