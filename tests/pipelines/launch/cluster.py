"""A Spark application of a test's own on real executors."""

from __future__ import annotations

from pyspark.sql import SparkSession


def two_executors(name: str, more: dict[str, str]) -> SparkSession:
    """A session on two executors of one slot and a GiB each, which listens on the loopback alone."""
    builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName(name)
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "1g",
        "spark.executor.cores": "1",
        **more,
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
