"""Folders for temporary files go with their processes, and after SIGKILL with what survives these."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.launch.environment import Assignment, rank_environment
from pipelines.temporary import TemporaryFolder, executor_folder, homes_within, remove_abandoned
from tests.root import ROOT

FOLDER = "from pipelines.temporary import TemporaryFolder; folder = TemporaryFolder('model'); path = folder.path"
RANK = (
    "from pipelines.launch.environment import Assignment, rank_environment;"
    "entered = rank_environment(Assignment('{}', 60), 0, 0, 1); path = entered.__enter__()['TMPDIR']"
)


@contextmanager
def process(code: str, tmp: Path, **given: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A Python process that makes a folder, prints its path and waits; killed by SIGKILL at the end."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp), **given}
    command = [sys.executable, "-c", f"{code}; import time; print(path, flush=True); time.sleep(600)"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        try:
            yield started, Path(started.stdout.readline().rstrip("\n"))
        finally:
            started.send_signal(signal.SIGKILL)


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of the tests' own process."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_goes_at_its_end_and_with_the_object_that_has_it(tmp: Path) -> None:
    with TemporaryFolder("bundle") as path:
        (path / "inner").mkdir()
        assert path.parent == tmp
        assert path.name.startswith("ringmill-tmp-bundle-")
    assert not path.exists()
    folder = TemporaryFolder("model")
    assert [each.name for each in tmp.iterdir()] == [folder.path.name]
    del folder
    assert list(tmp.iterdir()) == []


def test_the_next_folder_removes_files_of_a_killed_process_and_no_running_ones(tmp: Path) -> None:
    with process(FOLDER, tmp) as (_, alive):
        with process(FOLDER, tmp) as (_, dead):
            (dead / "variables").write_bytes(b"weights")
            remove_abandoned(tmp)
            assert (dead.exists(), alive.exists()) == (True, True)
        assert dead.exists()  # which nobody but its own process could remove
        with TemporaryFolder("bundle"):
            assert (dead.exists(), alive.exists()) == (False, True)


@pytest.mark.parametrize("code", [FOLDER, RANK], ids=["model", "rank"])
def test_in_a_worker_of_spark_folders_lie_in_the_executors_own(tmp: Path, code: str) -> None:
    blocks = tmp / "spark-1" / "executor-2" / "blockmgr-3"
    blocks.mkdir(parents=True)
    with process(code, tmp, SPARK_LOCAL_DIRS=f"{tmp}/blockmgr-gone,{blocks}") as (_, path):
        assert path.parent == blocks
    assert [each.name for each in tmp.iterdir()] == ["spark-1"]  # which goes with the executor, or with the application


def test_keras_and_matplotlib_make_no_folder_in_a_home_that_has_none(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    with rank_environment(Assignment("{}", 60), 0, 0, 1) as environment:
        assert environment["KERAS_HOME"] == f"{environment['TMPDIR']}/keras_home"
        assert environment["MPLCONFIGDIR"] == "/mine"
    (tmp / ".keras").mkdir()
    assert homes_within(tmp) == {"MPLCONFIGDIR": "/mine"}


def test_folders_that_somebody_set_for_spark_are_no_executors_own(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp))
    assert executor_folder() is None
    monkeypatch.delenv("SPARK_LOCAL_DIRS")
    assert executor_folder() is None
