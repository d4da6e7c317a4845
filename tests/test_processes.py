"""What another worker's tests have started does not count as left behind; whatever has no mark does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import WORKER, remove_executors_folders, running

NAME = "a process of its own to look for"
SLEEPS = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", NAME]
STARTS = "import subprocess, sys; subprocess.run(sys.argv[1:], env={'PATH': '/usr/bin:/bin'})"


@contextmanager
def started(*command: str, **environment: str) -> Iterator[None]:
    """A process that has begun, and ends with its input."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        yield


def names() -> list[str]:
    """The last argument of those that run and count."""
    return [process.cmdline()[-1] for process in running((NAME,)) if process.cmdline()[1] != "-m"]


def test_a_process_without_a_mark_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKER, raising=False)
    with started(*SLEEPS):
        assert names() == [NAME]


def test_what_another_worker_started_does_not_nor_what_that_started_without_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKER, "mine")
    with started(*SLEEPS, **{WORKER: "theirs"}), started(sys.executable, "-c", STARTS, *SLEEPS, **{WORKER: "theirs"}):
        assert names() == []
    with started(sys.executable, "-c", STARTS, *SLEEPS):
        assert names() == [NAME, NAME]  # the one that starts it, and itself


def test_what_a_worker_starts_itself_without_a_mark_is_that_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKER, "mine")
    monkeypatch.setattr(os, "getpid", lambda: 1)  # so this process is another worker, of the same parent
    with started("/usr/bin/env", "-i", *SLEEPS):
        assert names() == []
    monkeypatch.undo()
    monkeypatch.setenv(WORKER, "mine")
    with started("/usr/bin/env", "-i", *SLEEPS):
        assert names() == [NAME]


def test_executors_folders_go_once_their_driver_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    for process in (gone.pid, os.getpid()):
        (tmp_path / f"launch-20130101000000-0000-{process}" / "0").mkdir(parents=True)
    remove_executors_folders(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"launch-20130101000000-0000-{os.getpid()}"]
