"""Writers of one catalog, at once: `python -m benchmarks.catalog_writers --seconds 120`, after `. setup/env.sh`.

On each catalog that the project supports several processes, a Spark application each, write through the project's tables
(`benchmarks.catalog_work`). Then what they saw of their commits is held against the tables (`benchmarks.catalog_check`). It
exits with 1 when a commit is lost or doubled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark.sql import SparkSession

from benchmarks.catalog_check import Contents, WriteCheck, WriteOutcome
from benchmarks.catalog_work import contents, writes
from benchmarks.results import grid, store
from pipelines.config import LakeConfig
from pipelines.errors import ConflictError
from pipelines.io.catalog import catalog_settings
from pipelines.io.iceberg import IcebergTable
from pipelines.runtime.java_lookups import remember_lookups
from pipelines.runtime.session import SETTINGS
from pipelines.runtime.terminal import console
from setup.iceberg_rest import rest_catalog
from setup.postgres import postgres_server

VARIABLE = "RINGMILL_WRITERS_PASSWORD"
START_SECONDS, END_SECONDS = 600, 300
# Little data and little memory: Java's quick compiler and its smallest collector.
JAVA = "-Duser.timezone=UTC -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
RETRIED = "Retrying task after failure"  # what Iceberg logs when another commit came first


@contextmanager
def embedded(_: Path) -> Iterator[dict[str, str]]:
    """The default: SQLite under the warehouse."""
    yield {}


@contextmanager
def postgres(_: Path) -> Iterator[dict[str, str]]:
    """A JDBC catalog in PostgreSQL."""
    with postgres_server() as server, mock.patch.dict(os.environ, {VARIABLE: server.password}):
        jdbc = {"jdbc.user": server.user, "jdbc.password": f"${{{VARIABLE}}}", "jdbc.schema-version": "V1"}
        yield {"type": "jdbc", "uri": server.url, **jdbc}


@contextmanager
def rest(folder: Path) -> Iterator[dict[str, str]]:
    """Iceberg's REST catalog server."""
    database = f"jdbc:sqlite:{folder}/rest.db?journal_mode=WAL&busy_timeout=30000"
    with rest_catalog({"uri": database, "warehouse": str(folder / "warehouse")}, folder / "rest.log") as address:
        yield {"type": "rest", "uri": address}


CATALOGS: dict[str, Callable[[Path], AbstractContextManager[dict[str, str]]]] = {
    "SQLite (embedded)": embedded,
    "PostgreSQL": postgres,
    "REST": rest,
}


def main() -> int:
    """Let the writers work on each catalog, in turn; print a table, store it, and return the exit code."""
    options = argparse.ArgumentParser(prog="catalog_writers.py")
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--writers", type=int, default=8)
    options.add_argument("--catalogs", nargs="*", default=list(CATALOGS), choices=list(CATALOGS))
    options.add_argument("--work", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.work:
        what, folder = arguments.work
        _work(what, Path(folder))
        return 0
    figures = {name: _catalog(name, arguments.writers, arguments.seconds) for name in arguments.catalogs}
    columns = list(next(iter(figures.values())))[:-1]
    shown = grid(f"{arguments.writers} processes, {arguments.seconds:g} seconds", "catalog", *columns)
    for name, figure in figures.items():
        shown.add_row(name, *(f"{figure[column]:,}" for column in columns))
    console().print(shown)
    for error, times in Counter(error for figure in figures.values() for error in figure["errors"]).most_common():
        print(f"{times} x {error}")
    store("catalog_writers", figures)
    return int(any(figure[fault] for figure in figures.values() for fault in ("lost", "doubled", "unexpected")))


def _catalog(name: str, writers: int, seconds: float) -> dict[str, Any]:
    """What became of the writes to one catalog."""
    with tempfile.TemporaryDirectory(prefix="ringmill-writers-") as path, CATALOGS[name](Path(path)) as catalog:
        folder = Path(path)
        lake = LakeConfig(warehouse=str(folder / "warehouse"), catalog=catalog)
        (folder / "warehouse").mkdir(exist_ok=True)
        (folder / "lake.json").write_text(lake.model_dump_json())
        processes = {str(writer): _start(str(writer), folder) for writer in range(writers)}
        _wait(lambda: len(list(folder.glob("*.ready"))) == writers, processes, folder, START_SECONDS)
        (folder / "go").write_text(str(seconds))
        _wait(lambda: _have_ended(processes), processes, folder, seconds + END_SECONDS)
        check_process = {"check": _start("check", folder)}
        _wait(lambda: _have_ended(check_process), check_process, folder, START_SECONDS)
        lines = [line for path in folder.glob("*.outcomes") for line in path.read_text().splitlines()]
        outcomes = [WriteOutcome.model_validate_json(line) for line in lines]
        check = WriteCheck(outcomes, Contents.model_validate_json((folder / "contents.json").read_text()))
        retries = sum(path.read_text().count(RETRIED) for path in folder.glob("*.log"))
        again = sum(int(path.read_text()) for path in folder.glob("*.again"))
    return _figures(outcomes, check, retries, again)


def _figures(outcomes: Sequence[WriteOutcome], check: WriteCheck, retries: int, again: int) -> dict[str, Any]:
    results, faults = Counter(outcome.result for outcome in outcomes), check.faults()
    return {
        "commits": results["succeeded"],
        "retried": retries,
        "staged again": again,
        "refused": results["refused"],
        "failed": results["failed"] + results["unknown"],
        **{name: len(runs) for name, runs in faults._asdict().items()},
        "errors": [outcome.error for outcome in outcomes if outcome.result in ("failed", "unknown")],
    }


def _start(what: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a writer, or the check, as an application of its own."""
    options = ["--master", "local[1]", "--driver-memory", "512m", "--driver-java-options", JAVA]
    options += ["--conf", "spark.sql.shuffle.partitions=1"]
    program = [str(Path(sys.executable).with_name("spark-submit")), *options, str(Path(__file__))]
    with (folder / f"{what}.log").open("wb") as log:
        return subprocess.Popen([*program, "--work", what, str(folder)], stdout=log, stderr=log)


def _have_ended(processes: Mapping[str, subprocess.Popen[bytes]]) -> bool:
    return all(process.poll() is not None for process in processes.values())


def _wait(done: Callable[[], bool], processes: Mapping[str, subprocess.Popen[bytes]], folder: Path, seconds: float) -> None:
    """Wait until it is done; ends the processes and raises SystemExit where one has failed, or it takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        ended = done()
        failed = [name for name, process in processes.items() if process.poll()]
        if ended and not failed:
            return
        if failed or time.monotonic() > deadline:
            for process in processes.values():
                process.kill()
            logs = "\n".join((folder / f"{name}.log").read_text()[-3000:] for name in failed)
            raise SystemExit(logs or f"not done within {seconds:g} seconds")
        time.sleep(0.1)


def _work(what: str, folder: Path) -> None:
    """The work of one process, once all have a session."""
    spark = _session(LakeConfig.model_validate_json((folder / "lake.json").read_text()))
    if what == "check":
        (folder / "contents.json").write_text(contents(spark).model_dump_json())
        return
    (folder / f"{what}.ready").touch()
    while not (folder / "go").exists() or not (seconds := (folder / "go").read_text()):
        time.sleep(0.05)
    publish, again = IcebergTable.publish, 0

    def counted(table: IcebergTable, branch: str) -> int:
        nonlocal again
        try:
            return publish(table, branch)
        except ConflictError:
            again += 1
            raise

    with mock.patch.object(IcebergTable, "publish", counted), (folder / f"{what}.outcomes").open("w") as file:
        for outcome in writes(spark, int(what), float(seconds)):
            file.write(outcome.model_dump_json() + "\n")
    (folder / f"{what}.again").write_text(str(again))


def _session(lake: LakeConfig) -> SparkSession:
    remember_lookups()
    builder = SparkSession.builder.appName("ringmill writers")
    for key, value in {**SETTINGS, **catalog_settings(lake)}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


if __name__ == "__main__":
    sys.exit(main())
