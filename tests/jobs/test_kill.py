"""Runs killed at random moments: readers see whole commits alone, and the same command again leaves the right tables.

RINGMILL_KILLS sets the number of kills, RINGMILL_SEED the seed of their moments.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path

import psutil
import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import read_config
from pipelines.io.iceberg import IcebergTable
from pipelines.runtime.intervals import run_steps
from pipelines.steps import clean, ingest
from tests.conftest import session_on
from tests.contexts import quiet_context
from tests.departures import SOURCES, departures
from tests.jobs.test_signals import left_in
from tests.processes import environment
from tests.root import ROOT
from tests.sample import some_rows, write_rows

KILLS = int(os.environ.get("RINGMILL_KILLS", "3"))
PAUSE_SECONDS = 1.0  # between two reads, for the run that is watched
SEED = int(os.environ.get("RINGMILL_SEED") or random.SystemRandom().randrange(10**6))
RAW, CLEAN = ([f"{kind}_{source}" for source in SOURCES] for kind in ("raw", "clean"))
TABLES = (*RAW, *CLEAN, "quarantine", "ledger of ingest", "ledger of clean")  # each seen at once: a commit each
OF_A_RUN = ("run_id", "source_file", "source_block", "source_row", "interval_from", "interval_to")
State = tuple[int, int]  # rows, and the sum of their hashes


def rows_of(source: str, data: Path, state: int) -> list[dict[str, str]]:
    """Some rows of a source in state 0 or 1, which have other rows in every table; two or three of the flights are wrong."""
    path = data / f"{source}.csv"
    if source == "airlines":  # all of them, since flights refer to them, and one more
        return [*some_rows(path, every=1), *([{"carrier": "ZZ", "name": "Zephyr"}] * state)]
    rows = some_rows(path, 800 if source == "flights" else 7, first=state)
    if source == "flights":
        for row in rows[: 2 + state]:
            row["origin"] = "LHR"
    return rows[: len(rows) - 1 - state]  # another number, whatever the residue


def write_state(data: Path, folder: Path, state: int) -> dict[str, int]:
    """Put a state's files in place, as an upstream that sends an interval again does; rows by table."""
    counts = {}
    for source in SOURCES:
        rows = rows_of(source, data, state)
        path = folder / f"{source}.csv"
        write_rows(path.with_suffix(".part"), rows, list(rows[0]))
        path.with_suffix(".part").replace(path)
        counts[f"raw_{source}"] = counts[f"clean_{source}"] = len(rows)
    wrong = 2 + state
    counts["clean_flights"] -= wrong
    return {**counts, "quarantine": wrong, "ledger of ingest": len(SOURCES), "ledger of clean": len(SOURCES)}


class Job:
    """The application, as spark-submit runs it."""

    def __init__(self, config: str, *arguments: str) -> None:
        command = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[1]", "--driver-memory", "1g"]
        command += ["tests/jobs/ingest_clean.py", "--config", config, *arguments]
        self.began = time.time()
        self.temporary = Path(config).with_name("tmp")
        self.temporary.mkdir(exist_ok=True)
        given = {**environment(), "TMPDIR": str(self.temporary)}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def finish(self) -> float:
        """Wait; check that it went well; seconds that it took."""
        output, _ = self._process.communicate(timeout=300)
        assert self._process.returncode == 0, output
        assert left_in(self.temporary) == []
        return time.time() - self.began

    def kill(self, after: float) -> None:
        """SIGKILL everything that it started, some seconds after it began; nothing of it stays in the folder for such files."""
        time.sleep(max(0.0, self.began + after - time.time()))
        tree = [psutil.Process(self._process.pid)]
        tree += tree[0].children(recursive=True)
        for process in tree:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.communicate(timeout=60)
        assert left_in(self.temporary) == []


@dataclass(frozen=True)
class TableContent:
    """A table as a reader sees it: its rows, and the run that published them."""

    state: State
    run: str


class Reader:
    """Another application on the same catalog."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._session = session_on(spark, folder / "warehouse")
        self._session.sql("SHOW NAMESPACES IN lake")  # sets the catalog up, with this session's settings

    def run_steps(self, config: Path) -> None:
        """Ingest and clean as the application does, in this session."""
        run_steps((ingest.STEP, clean.STEP), quiet_context(self._session, read_config(config), "first"), force=False)

    def table(self, name: str) -> IcebergTable:
        """A table's metadata as they are now."""
        return IcebergTable(self._session, f"lake.kill.{name}")

    def rows(self, name: str) -> tuple[DataFrame, str]:
        """A table's rows, and the run that published them last."""
        step = name.removeprefix("ledger of ") if name.startswith("ledger") else ""
        stored = "row_ledger" if step else name
        table = self.table(stored)
        snapshot = table.snapshot_id()
        rows = self._session.read.option("versionAsOf", str(snapshot)).table(f"lake.kill.{stored}")
        if step:
            rows = rows.where(F.col("step") == step)
        return rows, "" if step else table.summary()["run_id"]

    def read(self, name: str) -> TableContent:
        """One table, in one read of one snapshot."""
        rows, run = self.rows(name)
        content = F.xxhash64(*(F.col(c).cast("string") for c in rows.columns if c not in OF_A_RUN)) % 1_000_003
        runs = F.array_join(F.array_sort(F.collect_set("run_id")), " ") if "run_id" in rows.columns else F.lit(run)
        aggregate = rows.agg(F.count("*"), F.coalesce(F.sum(content), F.lit(0)), runs).collect()[0]
        return TableContent((aggregate[0], aggregate[1]), aggregate[2])

    def read_all(self) -> dict[str, TableContent]:
        """Every table, one after the other."""
        return {name: self.read(name) for name in TABLES}

    def counted(self, step: str) -> dict[tuple[str, str], int]:
        """What a step's ledger says came out, by source and run."""
        rows, _ = self.rows(f"ledger of {step}")
        return {(row.source, row.run_id): row.rows_out for row in rows.collect()}

    def branches(self) -> set[str]:
        """Audit branches, with their tables."""
        names = (*RAW, *CLEAN, "quarantine", "row_ledger")
        return {f"{name} {branch}" for name in names for branch in self.table(name).references() if branch != "main"}


def watch_tables(
    reader: Reader, states: list[dict[str, State]], stop: threading.Event, problems: list[str], checks: Counter[str]
) -> None:
    """Check until `stop` is set that each table is whole, of one run, and as its run's ledger says."""
    while not stop.is_set():
        for step, tables in (("ingest", RAW), ("clean", CLEAN)):
            counted = reader.counted(step)
            for name in tables:
                content = reader.read(name)
                checks["tables"] += 1
                stop.wait(PAUSE_SECONDS)
                out = counted.get((name.partition("_")[2], content.run), content.state[0])
                if out != content.state[0]:
                    problems.append(f"{name}: {content}, but its run's ledger says {out} rows")
                if (name, content.state) not in {(name, state[name]) for state in states}:
                    problems.append(f"{name}: {content} is neither state: {[state[name] for state in states]}")
        for name in TABLES[len(RAW) + len(CLEAN) :]:
            content = reader.read(name)
            if content.state not in [state[name] for state in states] or " " in content.run:
                problems.append(f"{name}: {content} is neither state, or of several runs")


def phase(before: dict[str, TableContent], after: dict[str, TableContent], branches: set[str]) -> str:
    """How far the killed run came, by what it published and what it left staged."""
    new = {name for name in TABLES if after[name].run != before[name].run}
    staged = {name.split()[0].partition("_")[0] for name in branches}
    if "ledger of clean" in new:
        return "5 after clean's ledger"
    if new & {*CLEAN, "quarantine"}:
        return "4 publishing clean"
    if "ledger of ingest" in new:
        return "3 staging clean" if staged & {"clean", "quarantine"} else "3 before staging clean"
    if new & set(RAW):
        return "2 publishing ingest"
    return "1 staging ingest" if staged & {"raw"} else "0 before staging ingest"


@pytest.mark.slow
def test_runs_killed_at_any_moment_leave_whole_tables_and_heal(spark: SparkSession, flights_csv: Path, tmp_path: Path) -> None:
    print(f"\n{KILLS} kills, seed {SEED}")
    moments = random.Random(SEED)
    config = tmp_path / "kill.yaml"
    config.write_text(yaml.safe_dump(departures(tmp_path, "kill", lambda c: c["clean"].update(max_quarantined_share=0.05))))
    states, expected = [], []
    (tmp_path / "warehouse").mkdir()
    reader = Reader(spark, tmp_path)
    for state in (0, 1):
        expected.append(write_state(flights_csv, tmp_path, state))
        if state == 0:
            reader.run_steps(config)
        else:  # whose length says when others can be killed
            job = Job(str(config), "--force")
            seconds = job.finish()
        contents = reader.read_all()
        assert {name: one.state[0] for name, one in contents.items()} == expected[state]
        states.append({name: one.state for name, one in contents.items()})
    assert reduce(or_, ({name} if states[0][name] == states[1][name] else set() for name in TABLES)) == set()
    started_at = reader._session.table("lake.kill.runs").where("job = 'ingest'").agg(F.max(F.unix_millis("started_at")))
    start = started_at.collect()[0][0] / 1000 - job.began
    print(f"a run takes {seconds:.1f} s, its work begins after {start:.1f} s")
    phases = kill_and_heal(reader, states, lambda: moments.uniform(start, seconds), flights_csv, tmp_path)
    print(*(f"{name}: {count}" for name, count in sorted(phases.items())), sep="\n")


def kill_and_heal(
    reader: Reader, states: list[dict[str, State]], moment: Callable[[], float], data: Path, folder: Path
) -> Counter[str]:
    """Kill runs, one state after the other, and do each again; return how many were killed in which phase."""
    phases: Counter[str] = Counter()
    config, old = str(folder / "kill.yaml"), set(reader.branches())
    for number in range(KILLS):
        before, state = reader.read_all(), number % 2
        write_state(data, folder, state)
        stop, problems, checks = threading.Event(), list[str](), Counter[str]()
        watcher = threading.Thread(target=watch_tables, args=(reader, states, stop, problems, checks))
        watcher.start()
        try:
            job, after = Job(config, "--force"), moment()
            job.kill(after)
            branches = reader.branches()
            reached = phase(before, reader.read_all(), branches - old)
            Job(config).finish()
        finally:
            stop.set()
            watcher.join()
        print(f"kill {number + 1} after {after:.1f} s: {reached}; {checks['tables']} tables checked", flush=True)
        assert problems == []
        assert checks["tables"] > 0
        assert {name: one.state for name, one in reader.read_all().items()} == states[state]
        old = set(reader.branches())
        phases[reached] += 1
    return phases
