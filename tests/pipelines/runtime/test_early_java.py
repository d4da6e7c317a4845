"""Java initializes classes beside Python's imports, and whatever is wrong there is left to the session."""

from __future__ import annotations

import threading

import pytest
from pyspark.sql import SparkSession

from pipelines.runtime import early_java

UNUSED = "org.apache.spark.mllib.random.RandomRDDs$"


def load(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have the session's Java load classes, as a job does as it starts, and wait for that."""
    parameters = spark.sparkContext._gateway.gateway_parameters  # type: ignore[union-attr]
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", str(parameters.port))
    monkeypatch.setenv("PYSPARK_GATEWAY_SECRET", parameters.auth_token)
    monkeypatch.setattr(early_java, "CLASSES", names)
    early_java.load_classes_early()
    for thread in threading.enumerate():
        if thread.name == "early Java":
            thread.join()


def is_initialized(spark: SparkSession, name: str) -> bool:
    """Whether Java has initialized a class."""
    java = spark.sparkContext._jvm.java.lang.Class  # type: ignore[union-attr]
    field = java.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe")
    field.setAccessible(True)
    loader = spark.sparkContext._jvm.java.lang.ClassLoader.getSystemClassLoader()  # type: ignore[union-attr]
    return not field.get(None).shouldBeInitialized(java.forName(name, False, loader))


def test_classes_are_initialized(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_initialized(spark, UNUSED)
    load(spark, monkeypatch, UNUSED)
    assert is_initialized(spark, UNUSED)


def test_those_of_a_job_are_what_a_session_initializes(spark: SparkSession) -> None:
    assert [name for name in early_java.CLASSES if not is_initialized(spark, name)] == []


def test_a_class_that_this_spark_lacks_is_no_error(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    load(spark, monkeypatch, "org.apache.spark.NoSuchClass", UNUSED)
    assert spark.range(3).count() == 3


def test_without_java_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    monkeypatch.setattr(early_java, "Thread", lambda **_: pytest.fail("a thread is started"))
    early_java.load_classes_early()
