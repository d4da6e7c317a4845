"""A session's settings depend on where its tasks run. A Spark that does not start is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyspark import SparkConf
from pyspark.accumulators import AccumulatorTCPServer
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from pipelines.errors import ConfigError, ExternalError
from pipelines.runtime.session import (
    BROADCAST_BYTES,
    COMPILES_ALL,
    EXECUTOR_OPTIONS,
    FEW_ROWS,
    HUGE_METHOD_BYTES,
    WIDE_COLUMNS,
    _stop,
    broadcast_joins,
    compiles_long_methods,
    executor_folder,
    short_methods,
    started,
)


@pytest.mark.parametrize(
    ("master", "option", "expected"),
    [
        ("local-cluster[2,1,2048]", "spark.executor.extraJavaOptions", True),
        ("spark://host:7077", "spark.executor.defaultJavaOptions", True),
        ("yarn", "spark.driver.extraJavaOptions", False),
        ("local[2]", "spark.driver.extraJavaOptions", True),
        ("local", "spark.driver.extraJavaOptions", True),
        ("local[*]", "spark.executor.extraJavaOptions", False),
    ],
)
def test_long_methods_are_compiled_where_the_flag_is_set(master: str, option: str, expected: bool) -> None:
    conf = SparkConf(loadDefaults=False).set("spark.master", master).set(option, f"-XX:+UseParallelGC {COMPILES_ALL}")
    assert compiles_long_methods(conf) == expected
    assert not compiles_long_methods(conf.set(option, "-XX:+UseParallelGC"))


def test_few_rows_are_joined_by_broadcast_unless_the_user_has_chosen_otherwise(spark: SparkSession) -> None:
    usual = spark.conf.get(BROADCAST_BYTES)
    with broadcast_joins(spark, FEW_ROWS):
        assert spark.conf.get(BROADCAST_BYTES) == "256m"
    with broadcast_joins(spark, FEW_ROWS + 1):
        assert spark.conf.get(BROADCAST_BYTES) == usual
    assert spark.conf.get(BROADCAST_BYTES) == usual
    spark.conf.set(BROADCAST_BYTES, "-1")
    try:
        with broadcast_joins(spark, 1):
            assert spark.conf.get(BROADCAST_BYTES) == "-1"
    finally:
        spark.conf.unset(BROADCAST_BYTES)


def test_methods_are_short_for_wide_rows_alone(spark: SparkSession) -> None:
    usual = spark.conf.get(HUGE_METHOD_BYTES)
    with short_methods(spark, WIDE_COLUMNS):
        assert spark.conf.get(HUGE_METHOD_BYTES) == usual
    with short_methods(spark, WIDE_COLUMNS + 1):
        assert spark.conf.get(HUGE_METHOD_BYTES) == "8000"
    assert spark.conf.get(HUGE_METHOD_BYTES) == usual


class BuilderThatFails:
    """A session's builder that does something else, which fails."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.getOrCreate = work


def failure(work: Callable[[], object]) -> str:
    """What is reported when a builder fails."""
    with pytest.raises(ExternalError) as caught:
        started(cast(SparkSession.Builder, BuilderThatFails(work)))
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_a_spark_that_does_not_start_is_one_sentence_with_the_setting(spark: SparkSession) -> None:
    java: Any = spark._jvm
    java.System.setProperty("spark.eventLog.dir", "file:/no/such/folder/")
    try:
        missing = java.org.apache.hadoop.fs.Path("file:/no/such/folder").getFileSystem(
            java.org.apache.hadoop.conf.Configuration()
        )
        reported = failure(lambda: missing.getFileStatus(java.org.apache.hadoop.fs.Path("file:/no/such/folder")))
    finally:
        java.System.clearProperty("spark.eventLog.dir")
    assert reported.startswith("Spark does not start with spark.eventLog.dir=file:/no/such/folder/: no such file: File ")
    assert reported.endswith("and given to spark-submit, and run again.") and "\n" not in reported

    def without_java() -> None:
        raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})

    assert failure(without_java).startswith("Spark does not start: [JAVA_GATEWAY_EXITED] Java gateway process exited")


def test_a_log_of_events_in_a_store_without_a_client_is_exit_2(spark: SparkSession) -> None:
    java: Any = spark._jvm
    log = java.org.apache.hadoop.fs.Path("s3a://bucket/events")
    work = partial(log.getFileSystem, java.org.apache.hadoop.conf.Configuration())
    with pytest.raises(
        ConfigError, match=r"^spark\.event_log, or another of Spark's settings: Spark has no client for s3a://\. "
    ):
        started(cast(SparkSession.Builder, BuilderThatFails(work)))


def test_executors_of_an_embedded_cluster_share_the_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/a b")
    conf = SparkConf(loadDefaults=False).set("spark.master", "local-cluster[1,2,1024]").set(EXECUTOR_OPTIONS, "-Dx=1")
    assert executor_folder(conf) == {EXECUTOR_OPTIONS: '-Dx=1 "-Djava.io.tmpdir=/a b"'}
    conf.set("spark.master", "spark://host:7077")  # where another machine may have no such folder
    assert executor_folder(conf) == {EXECUTOR_OPTIONS: '-Dx=1 "-Djava.io.tmpdir=."'}
    for master in ("local[2]", "yarn"):
        assert executor_folder(conf.set("spark.master", master)) == {}


class SlowServer(AccumulatorTCPServer):
    """A server of accumulators that ends when a test says so."""

    def __init__(self) -> None:
        self.is_ending, self.may_end = Event(), Event()

    def shutdown(self) -> None:
        self.is_ending.set()
        self.may_end.wait(60)


def test_a_job_does_not_wait_for_the_server_of_accumulators() -> None:
    server, stopped = SlowServer(), list[bool]()
    context = SimpleNamespace(master="local[2]", applicationId="a", _accumulatorServer=server)
    spark = SimpleNamespace(sparkContext=context, stop=lambda: stopped.append(hasattr(context, "_accumulatorServer")))
    _stop(cast(SparkSession, spark))
    assert stopped == [False]  # with it `stop` would wait
    assert server.is_ending.wait(60)
    server.may_end.set()
