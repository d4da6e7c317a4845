"""The Spark session of a job, and the end of it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.accumulators import AccumulatorTCPServer
from pyspark.errors import PySparkException
from pyspark.find_spark_home import _find_spark_home
from pyspark.sql import SparkSession

from pipelines.config import Pipeline, one_line
from pipelines.errors import ExternalError
from pipelines.interruption import PROCESS
from pipelines.io.catalog import REDACTION, catalog_settings, check_warehouse, redaction_settings
from pipelines.io.java_errors import java_reason
from pipelines.io.missing_clients import missing_client
from pipelines.runtime.java_lookups import remember_lookups
from pipelines.runtime.monitoring import monitoring_settings, warn_of_open_port
from pipelines.runtime.signals import take_over_signals

# Java leaves a method of more than 8,000 bytes interpreted unless it is told otherwise, and what Spark generates for a whole
# contract's checks is longer: compiled, it is the fastest there is. Where executors lack the flag, Spark is held to smaller
# methods, which take twice as long.
COMPILES_ALL = "-XX:-DontCompileHugeMethods"
HUGE_METHOD_BYTES = "spark.sql.codegen.hugeMethodLimit"
SHORT_BYTES = "8000"
WIDE_COLUMNS = 100
BROADCAST_BYTES = "spark.sql.autoBroadcastJoinThreshold"
DEFAULT_BYTES = ("10485760b", "10485760", "10MB")  # another size is the user's choice, and stays
FEW_ROWS, FEW_BYTES = 500_000, "256m"
# An embedded cluster names its application by the second in which it starts, and executors' folders by that: two jobs
# that start together would share them, and the first to end would remove those of the other.
APPLICATION_ID = "spark.deploy.appIdPattern"
SHORTEST_REPORTED = 3
# Beside a thread that computes, one that talks to Java waits after each answer for as long as Python lets the other go on: by
# default 5 ms, which is many times what an answer takes.
SWITCH_SECONDS = 0.0005
EXECUTOR_OPTIONS = "spark.executor.defaultJavaOptions"  # which Spark puts before those that a user gives
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",  # stages rely on it
    # Else each column that is made asks Java a dozen times, to say in an error which line of Python made it.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}


@contextmanager
def spark_session(config: Pipeline, name: str) -> Iterator[SparkSession]:
    """A session with the pipeline's catalog, stopped at the end; what spark-submit set otherwise stays as it is.

    Raises ExternalError when the warehouse can't be written to, or Spark does not start.
    """
    check_warehouse(config.lake)
    remember_lookups()
    sys.setswitchinterval(SWITCH_SECONDS)
    take_over_signals()
    builder = SparkSession.builder.appName(f"ringmill {config.pipeline} {name}")
    given = SparkConf()
    of_process = {APPLICATION_ID: f"app-%s-%04d-{os.getpid()}", **executor_folder(given)}
    catalog = {**catalog_settings(config.lake), **redaction_settings(config.lake, given.get(REDACTION))}
    for key, value in {**SETTINGS, **of_process, **catalog, **monitoring_settings(config, given)}.items():
        builder = builder.config(key, value)
    spark = started(builder)
    warn_of_open_port(config, spark.sparkContext)
    PROCESS.install()  # Spark has set a handler of its own
    if not compiles_long_methods(spark.sparkContext.getConf()):
        spark.conf.set(HUGE_METHOD_BYTES, SHORT_BYTES)
    try:
        yield spark
    finally:
        PROCESS.over()
        with suppress(Py4JError, OSError):  # Java is gone: there is nothing to stop, and whatever the work met is the error
            _stop(spark)


def started(builder: SparkSession.Builder) -> SparkSession:
    """The builder's session. Raises ExternalError, which names the settings that Spark reports, when there is none, and
    ConfigError where a jar is missing.
    """
    try:
        return builder.getOrCreate()
    except (Py4JError, PySparkException, OSError) as error:
        if missing := missing_client(error, "spark.event_log, or another of Spark's settings"):
            raise missing from error
        reason = java_reason(error) if isinstance(error, Py4JJavaError) else one_line(error)
        settings = SparkConf().getAll() if SparkContext._jvm else []
        reported = [f"{key}={value}" for key, value in settings if _is_reported(value, reason)]
        received = f" with {', '.join(reported)}" if reported else ""
        raise ExternalError(
            f"Spark does not start{received}: {reason.rstrip('.')}. Fix Spark's settings, which are in conf/spark (or "
            f"$SPARK_CONF_DIR) and given to spark-submit, and run again."
        ) from error


def _is_reported(value: str, reason: str) -> bool:
    """Whether a reason names the value of a setting; short values are in many words."""
    bare = value.removeprefix("file:").rstrip("/")
    return len(bare) >= SHORTEST_REPORTED and re.search(rf"(?<!\w){re.escape(bare)}(?!\w)", reason) is not None


@contextmanager
def broadcast_joins(spark: SparkSession, rows: int) -> Iterator[None]:
    """Within it, where so few rows are read, Spark sends one side of a join to every task instead of moving both.

    Before it has computed them, Spark takes the aggregated sides of few rows for ten times as large as they are. It would move
    the other side by the keys of each join in turn, and learn too late that this was for nothing. Which rows then lie side by
    side would depend on what it learnt first.
    """
    before = spark.conf.get(BROADCAST_BYTES) or ""
    few = rows <= FEW_ROWS and before in DEFAULT_BYTES
    spark.conf.set(BROADCAST_BYTES, FEW_BYTES if few else before)
    try:
        yield
    finally:
        spark.conf.set(BROADCAST_BYTES, before)


@contextmanager
def short_methods(spark: SparkSession, columns: int) -> Iterator[None]:
    """Within it Spark generates short methods for rows of more than `WIDE_COLUMNS` columns. Of hundreds it would make one long
    method, which Java compiles last, if at all, and until then each row takes many times as long. Validation is quicker in one,
    and so are joins of fewer columns: in short methods each join copies the row.
    """
    before = spark.conf.get(HUGE_METHOD_BYTES)
    if columns > WIDE_COLUMNS:
        spark.conf.set(HUGE_METHOD_BYTES, SHORT_BYTES)
    try:
        yield
    finally:
        spark.conf.set(HUGE_METHOD_BYTES, before or SHORT_BYTES)


def compiles_long_methods(conf: SparkConf) -> bool:
    """Whether Java compiles methods of any length where tasks run: in the driver of a local master, else in executors."""
    where = "driver" if re.match(r"local(\[|$)", conf.get("spark.master", "local") or "") else "executor"
    options = [conf.get(f"spark.{where}.{kind}JavaOptions", "") for kind in ("default", "extra")]
    return any(COMPILES_ALL in (option or "").split() for option in options)


def executor_folder(conf: SparkConf) -> dict[str, str]:
    """The setting for where executors unpack native libraries, which they leave when they are killed: those of an embedded
    cluster where this process has its temporary files, those of a standalone one in the folder in which their worker starts
    them, and which it removes. YARN and Kubernetes see to that themselves.
    """
    master = conf.get("spark.master") or ""
    folder = tempfile.gettempdir() if master.startswith("local-cluster") else "." if master.startswith("spark://") else None
    if folder is None:
        return {}
    given = conf.get(EXECUTOR_OPTIONS) or ""
    return {EXECUTOR_OPTIONS: f'{given} "-Djava.io.tmpdir={folder}"'.strip()}


def _stop(spark: SparkSession) -> None:
    """Stop Spark, but do not wait for pyspark's server of accumulators, which looks whether it is to end once a second."""
    context = spark.sparkContext
    master, application, server = str(context.master), context.applicationId, context._accumulatorServer
    if isinstance(server, AccumulatorTCPServer):  # a socket file would have to be removed first
        del context._accumulatorServer
    spark.stop()
    if isinstance(server, AccumulatorTCPServer):
        Thread(target=server.shutdown, name="accumulators", daemon=True).start()
    if master.startswith("local-cluster"):
        _sweep(application)


def _sweep(application: str) -> None:
    """Remove the executors' folders of an embedded cluster: each holds a copy of every jar, and nothing else does."""
    home = Path(os.environ.get("SPARK_HOME") or _find_spark_home())  # type: ignore[no-untyped-call]
    shutil.rmtree(home / "work" / application, ignore_errors=True)
