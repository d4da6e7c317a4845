"""What breaks outside of ringmill: each failure is one clear error, and the same step again heals it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.sql import SparkSession
from rich.console import Console

from pipelines.config import Interval, LakeConfig, read_config
from pipelines.errors import DataError, ExternalError
from pipelines.io.catalog import catalog_settings
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.outside import outside_failure
from pipelines.runtime.runs import Run, RunLog
from pipelines.runtime.step import Outcome, Step
from schemas.tables import BROKEN_RULES
from setup.postgres import PostgresProcess, postgres_process
from tests.conftest import session_on
from tests.root import ROOT

REMOTE = LakeConfig(warehouse="s3a://lake/tables")
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "org.apache.iceberg.jdbc.UncheckedSQLException: Unknown failure\nCaused by: org.postgresql.util.PSQLException: "
            "Connection to 127.0.0.1:5432 refused. Check that the hostname and port are correct.\n",
            "lake.catalog: the catalog's server did not answer (",
        ),
        (
            "org.apache.iceberg.jdbc.UncheckedSQLException: Failed\nCaused by: org.postgresql.util.PSQLException: FATAL: "
            "the database system is starting up\n",
            "lake.catalog: the catalog's server did not answer (",
        ),
        (
            "When reading information for key 'a' in bucket 'lake': AWS Error NETWORK_CONNECTION during HeadObject operation: "
            "curlCode: 7, Couldn't connect to server",
            "lake.warehouse: the store of s3a://lake/tables did not answer (",
        ),
        (
            "Caused by: software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request: Connect to "
            "127.0.0.1:9000 failed: Connection refused\n",
            "lake.warehouse: the store of s3a://lake/tables did not answer (",
        ),
        ("Job 3 cancelled because SparkContext was shut down", "Spark lost executors, or its cluster ("),
    ],
)
def test_what_libraries_report_of_lost_servers_is_one_error_of_exit_5(text: str, expected: str) -> None:
    failure = outside_failure(RuntimeError(text), REMOTE)
    assert failure is not None
    assert (failure.exit_code, str(failure).startswith(expected)) == (5, True), failure
    assert "\n" not in str(failure)
    assert str(failure).endswith("run the same command again: it does what was not done.")


def test_a_driver_without_java_says_so() -> None:
    for error in (Py4JNetworkError("Answer from Java side is empty"), ConnectionRefusedError(111, "Connection refused")):
        failure = outside_failure(error, REMOTE)
        assert failure is not None
        assert str(failure).startswith("Java, in which Spark runs, is gone: it was killed, or ran out of memory.")


@pytest.mark.parametrize("error", [DataError("Connection refused, says s3a://x"), KeyError("a"), RuntimeError("a bug")])
def test_errors_of_our_own_and_bugs_stay_what_they_are(error: Exception) -> None:
    assert outside_failure(error, REMOTE) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a folder read-only, which takes root")
def test_a_warehouse_on_a_read_only_file_system_is_one_error(tmp_path: Path) -> None:
    folder = tmp_path / "warehouse"
    folder.mkdir()
    check = "from pipelines.io.catalog import *\nfrom pipelines.config import LakeConfig\nimport sys\n"
    check += "check_warehouse(LakeConfig(warehouse=sys.argv[1]))"
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", str(folder), sys.executable, check]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = completed.stderr.splitlines()[-1]
    assert last == (
        f"pipelines.errors.ExternalError: lake.warehouse: {folder} can't be written to (Read-only file system). Give a folder "
        f"that can, or fix its rights."
    )
    healed = subprocess.run([sys.executable, "-c", check, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert healed.returncode == 0, healed.stderr


def context_on(spark: SparkSession, namespace: str) -> Context:
    """A run's context, as a job would have it."""
    config = read_config(ROOT / "conf" / "flights.yaml")
    interval = config.interval.located(config.timezone)
    lake = Lake(spark, namespace, f"run_{datetime.now(UTC):%H%M%S%f}")
    return Context(config, interval, spark, lake, RunLog(lake, interval), Console(quiet=True))


def rows_step(before_publish: Callable[[], object]) -> Step:
    """A step that publishes one row, after whatever else happens."""

    def work(context: Context) -> Outcome:
        start, end = context.bounds
        row = {"source": "flights", "rule": "r", "severity": "warn", "rows": 1, "example": ""}
        with context.audit("outside") as audit:
            full = {"run_id": context.run_id, "interval_from": start, "interval_to": end, **row}
            audit.write_rows(BROKEN_RULES, [full], context.whose_interval)
            before_publish()
            return Outcome(outputs=audit.publish())

    return Step("outside", (), lambda _: {}, work)


@pytest.fixture
def catalog() -> Iterator[PostgresProcess]:
    """A PostgreSQL server that may be killed."""
    with postgres_process() as process:
        yield process


@pytest.mark.slow
def test_a_catalog_that_is_gone_at_commit_is_exit_5_and_the_same_again_heals(
    spark: SparkSession, catalog: PostgresProcess, tmp_path: Path
) -> None:
    server = catalog.server
    properties = {"type": "jdbc", "uri": server.url, "jdbc.user": server.user, "jdbc.password": server.password}
    lake = LakeConfig(warehouse=str(tmp_path / "warehouse"), catalog={**properties, "jdbc.schema-version": "V1"})
    session = spark.newSession()
    for key, value in catalog_settings(lake).items():
        session.conf.set(key, value)
    # What the driver reports depends on which of its connections is tried first.
    reported = r"(?:This connection has been closed|.*refused|An I/O error).*"
    with pytest.raises(ExternalError, match=rf"^lake\.catalog: the catalog's server did not answer \({reported}\)\.") as caught:
        execute(rows_step(catalog.kill), context_on(session, "gone"), force=True)
    assert caught.value.exit_code == 5
    catalog.start()
    healed = context_on(session, "gone")
    execute(rows_step(lambda: None), healed, force=True)
    assert [row.run_id for row in healed.lake.read("broken_rules").collect()] == [healed.run_id]


@pytest.mark.slow
def test_a_clock_that_was_set_back_an_hour_is_exit_5_and_heals_once_it_is_right(spark: SparkSession, tmp_path: Path) -> None:
    # The clock can't be set here: instead the table's own times are moved on by an hour, which is the same to whoever compares.
    context = context_on(session_on(spark, tmp_path), "clock")
    execute(rows_step(lambda: None), context, force=True)
    table = IcebergTable(context.spark, context.lake.identifier("broken_rules"))
    path = Path(table._table.operations().current().metadataFileLocation().removeprefix("file:"))
    text = path.read_text()
    path.write_text(json.dumps(an_hour_later(json.loads(text))))
    (path.parent / f".{path.name}.crc").unlink(missing_ok=True)
    with pytest.raises(
        ExternalError, match=r"^the clock of this machine shows .* 60 minutes later\. Iceberg takes no"
    ) as caught:
        execute(rows_step(lambda: None), context_on(context.spark, "clock"), force=True)
    assert caught.value.exit_code == 5
    path.write_text(text)
    healed = context_on(context.spark, "clock")
    execute(rows_step(lambda: None), healed, force=True)
    assert [row.run_id for row in healed.lake.read("broken_rules").collect()] == [healed.run_id]


def an_hour_later(metadata: dict[str, object]) -> dict[str, object]:
    """A table's metadata as if it had been written an hour later."""
    times = {"last-updated-ms", "timestamp-ms"}

    def move(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {name: move(part, name) for name, part in value.items()}
        if isinstance(value, list):
            return [move(part) for part in value]
        return value + HOUR_MS if key in times and isinstance(value, int) else value

    return {name: move(part, name) for name, part in metadata.items()}


class NoTables(Lake):
    """Tables without rows, which take none either."""

    def __init__(self) -> None: ...

    def rows(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return []

    def append_rows(self, *_: Any, **__: Any) -> None: ...


def test_the_last_run_is_the_last_though_the_clock_went_back_meanwhile() -> None:
    start, end = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)
    log = RunLog(NoTables(), Interval(start=start, end=end))
    for number, minute in enumerate((30, 29)):  # half a minute back is what Iceberg takes
        at = datetime(2026, 1, 1, 12, minute, 50, tzinfo=UTC)
        log.add(Run(f"run{number}", "p", "ingest", "succeeded", "", "", "", started_at=at, seconds=5.0))
    latest = log.latest("ingest")
    assert latest is not None
    assert latest.run_id == "run1"
    assert latest.seconds == 5.0
