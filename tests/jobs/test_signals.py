"""Ctrl-C and SIGTERM on a real application: one line, one row in `runs`, the exit code, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml
from pyspark.sql import SparkSession

from tests.conftest import session_on
from tests.jobs.interruptible import AT_WORK
from tests.processes import environment
from tests.root import ROOT
from tests.sample import configured

pytestmark = pytest.mark.slow
NOISE = "WARNING: Using incubator modules: jdk.incubator.vector"  # Java's, as it starts


def driver_of(java: int) -> int:
    """The Python process that spark-submit started."""
    children = psutil.Process(java).children()
    return next(child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE and "python" in child.name())


def send_to_all(java: int) -> None:
    """Ctrl-C: the terminal sends it to the whole process group. An impatient person presses twice."""
    os.killpg(java, signal.SIGINT)
    time.sleep(0.3)
    os.killpg(java, signal.SIGINT)


ENDINGS: dict[str, tuple[Callable[[int], None], int, str]] = {
    "ctrl_c": (send_to_all, 130, "SIGINT"),
    "driver": (lambda java: os.kill(driver_of(java), signal.SIGTERM), 143, "SIGTERM"),
    "java": (lambda java: os.kill(java, signal.SIGTERM), 143, "SIGTERM"),
}


def interrupted(config: str, send: Callable[[int], None], folder: Path) -> tuple[int, list[str]]:
    """Start the application in folders of its own, send it a signal once it is at work; its exit code and its lines."""
    for name in ("tmp", "home"):
        (folder / name).mkdir()
    command = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]", "--driver-memory", "1g"]
    with subprocess.Popen(
        [*command, "tests/jobs/interruptible.py", "--config", config],
        cwd=ROOT,
        env={**environment(), "TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as job:
        assert job.stdout
        lines: list[str] = []
        while AT_WORK not in lines and (line := job.stdout.readline()):
            lines.append(line.rstrip("\n"))
        time.sleep(1)  # until Spark's tasks are at work too
        send(job.pid)
        lines += job.stdout.read().splitlines()
        return job.wait(60), [line for line in lines if line != NOISE]


def left_in(folder: Path, seconds: float = 10) -> list[str]:
    """What is in a folder once it is empty, or after some seconds."""
    deadline = time.monotonic() + seconds
    while (names := sorted(path.name for path in folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    return names


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_signal_ends_a_run_with_one_line_and_a_row(spark: SparkSession, tmp_path: Path, ending: str) -> None:
    send, code, name = ENDINGS[ending]
    config = tmp_path / "signals.yaml"
    config.write_text(yaml.safe_dump(configured(tmp_path, "signals")))
    returned, lines = interrupted(str(config), send, tmp_path)
    assert (returned, lines[0], len(lines)) == (code, AT_WORK, 2), lines
    assert lines[1].startswith(f"ringmill: interruptible interrupted by {name} after ")
    assert "the table runs has it" in lines[1]
    table = session_on(spark, tmp_path / "warehouse").table
    rows = [(row.job, row.status, row.error) for row in table("lake.signals.runs").collect()]
    assert rows == [("interruptible", "interrupted", f"interrupted by {name}")]
    assert table("lake.signals.broken_rules").count() == 0
    assert [row.name for row in table("lake.signals.broken_rules.refs").collect() if row.name != "main"] == []
    assert left_in(tmp_path / "tmp") == []
    assert left_in(tmp_path / "home", 0) == []
