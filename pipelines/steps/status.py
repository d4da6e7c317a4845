"""Show how a pipeline is, and end with exit code 1 when something is stale or failed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway

from pipelines.config import Pipeline, read_config
from pipelines.config.ages import parse_age
from pipelines.errors import ConfigError, ExternalError
from pipelines.io.catalog_reader import catalog_reader
from pipelines.runtime.command_line import status_parser
from pipelines.runtime.log_handler import job_console
from pipelines.runtime.notify import notify, set_pipeline
from pipelines.steps.status_facts import gather
from pipelines.steps.status_report import StatusReport
from pipelines.steps.status_view import print_status
from schemas import tables

NOT_WELL = 1  # the exit code when there are problems


def run(argv: Sequence[str]) -> int:
    """Run the job status and return its exit code; raises ConfigError and ExternalError when the tables can't be read."""
    arguments = status_parser().parse_args(argv)
    max_age = _max_age(arguments)
    config = read_config(arguments.config)
    check_tables(config, config.status.tables)
    set_pipeline(config)
    with java_gateway() as gateway:
        report = status_report(config, gateway, datetime.now(UTC), runs=arguments.runs, max_age=max_age)
    if arguments.json:
        print(report.model_dump_json(), flush=True)
    else:
        print_status(job_console(), config, report)
    if old := [f"{problem.subject}: {problem.message}" for problem in report.problems if problem.kind == "stale"]:
        notify("stale", "; ".join(old))
    return 0 if report.ok else NOT_WELL


def status_report(
    config: Pipeline, gateway: Any, now: datetime, *, runs: int = 1, max_age: timedelta | None = None
) -> StatusReport:
    """How the configuration's tables are, read through a gateway to Java; `max_age` goes before the configuration's."""
    with catalog_reader(gateway, config.lake, config.pipeline) as reader:
        return gather(config, reader, now, runs=runs, max_age=max_age or config.status.max_age)


def check_tables(config: Pipeline, names: Iterable[str]) -> None:
    """Raise ConfigError when `status.tables` names a table that the pipeline never has."""
    own = [f"{kind}_{name}" for name in config.sources for kind in ("raw", "clean")]
    known = {*own, "features", "scores", "live_metrics", *(table.name for table in tables.SHARED)}
    if unknown := sorted(set(names) - known):
        raise ConfigError(f"status.tables: unknown table {', '.join(unknown)}; expected some of {', '.join(sorted(known))}.")


@contextmanager
def java_gateway() -> Iterator[Any]:
    """Java with Iceberg's classes: that which spark-submit started, or one that ends with this. Raises ExternalError."""
    # What Java prints as it starts is of interest when it does not.
    with tempfile.TemporaryFile("w+") as output:
        try:
            gateway = launch_gateway(popen_kwargs={"stderr": output})  # type: ignore[no-untyped-call]
        except (PySparkRuntimeError, OSError) as error:
            output.seek(0)
            raise ExternalError(f"Java did not start: {output.read()[-2000:] or error} Run `make doctor`.") from error
        try:
            yield gateway
        finally:
            sys.stdout.flush()
            gateway.shutdown()


def _max_age(arguments: argparse.Namespace) -> timedelta | None:
    if arguments.runs < 1:
        raise ConfigError(f"arguments: --runs {arguments.runs}: expected at least 1.")
    try:
        return None if arguments.max_age is None else parse_age(arguments.max_age)
    except ValueError as error:
        raise ConfigError(f"arguments: --max-age {arguments.max_age}: {error}.") from error
