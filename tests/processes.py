"""Processes that a run must not leave behind; those of tests beside these do not count."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import psutil
import pyspark

WORKER = "PYTEST_XDIST_WORKER"  # where several workers test, the environment of a process says whose it is
WORK = Path(pyspark.__file__).parent / "work"  # where embedded clusters keep a folder for each application
NAMES = ("CoarseGrainedExecutorBackend", "pipelines.training.rank", "hydra_pmi_proxy", "mpiexec.hydra")


def environment() -> dict[str, str]:
    """That of this process, for an application of its own: no stale SPARK_HOME, none of Spark's own variables."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_HOME", "PYSPARK_GATEWAY"))}


def temporary_files_in(folder: Path) -> dict[str, str]:
    """Variables by which an application leaves in a folder of its own what Java and Python leave when they are killed."""
    folder.mkdir(exist_ok=True)
    return {"TMPDIR": str(folder), "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={folder}"}


def running(names: tuple[str, ...] = NAMES) -> set[psutil.Process]:
    """Executors, ranks and launchers that run now, but for those that another worker's tests started."""
    processes = psutil.process_iter(["cmdline"])
    named = {process for process in processes if any(name in " ".join(process.info["cmdline"] or []) for name in names)}
    return {process for process in named if not _of_another(process)}


def left_since(before: set[psutil.Process], names: tuple[str, ...] = NAMES, seconds: float = 10) -> set[psutil.Process]:
    """Those that have come since and are still there after some seconds."""
    deadline = time.monotonic() + seconds
    while (left := running(names) - before) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def remove_executors_folders(work: Path = WORK) -> None:
    """Remove those folders whose driver is gone, by the process id that ends their names: of jobs that were killed, and of the
    tests' own applications.
    """
    for folder in work.glob("*-0000-*"):
        if not psutil.pid_exists(int(folder.name.rpartition("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)


def _of_another(process: psutil.Process) -> bool:
    """Whether another worker's tests started it: by its environment or, as mpiexec has next to none, by who started it."""
    mine = os.environ.get(WORKER)
    try:
        line = (process, *process.parents())
        if marks := [mark for mark in map(_mark, line) if mark is not None]:
            return marks[0] != mine
        # A worker marks itself once it runs, which its own environment, as the system knows it, does not say.
        return mine is not None and any(each.ppid() == os.getppid() and each.pid != os.getpid() for each in line)
    except psutil.NoSuchProcess:
        return False


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(WORKER)
    except psutil.AccessDenied:
        return None
