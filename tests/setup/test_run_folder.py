"""conf/spark/run-folder.sh: a run's temporary files are in one folder, which goes with the run, killed or not."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.root import ROOT

SCRIPT = f"""set -a; . {ROOT}/conf/spark/run-folder.sh; set +a
echo "$TMPDIR"; echo "$SPARK_SUBMIT_OPTS"; echo "$KERAS_HOME $MPLCONFIGDIR"
exec sleep 60"""


def start(tmp: Path, program: str = "org.apache.spark.deploy.SparkSubmit", **given: str) -> subprocess.Popen[str]:
    """A shell that reads the file as Spark's scripts do, and then becomes another program, as they become Java."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp), "HOME": str(tmp), "HOSTNAME": "here", **given}
    return subprocess.Popen(
        ["bash", "-c", SCRIPT, "bash", program], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def lines_of(process: subprocess.Popen[str], count: int = 3) -> list[str]:
    """The first lines that it prints."""
    assert process.stdout
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def disappears(path: Path, seconds: float = 10) -> bool:
    """Whether a path is gone within some seconds."""
    deadline = time.monotonic() + seconds
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not path.exists()


@pytest.fixture
def tmp(tmp_path: Path) -> Path:
    """A folder for temporary files, with a space in its name."""
    (tmp_path / "a b").mkdir()
    return tmp_path / "a b"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_folder_goes_with_the_run_however_it_ends(tmp: Path, number: int) -> None:
    with start(tmp) as run:
        folder, options, homes = lines_of(run)
        assert Path(folder).parent == tmp
        assert Path(folder).name.startswith(f"ringmill-run-here-{run.pid}-")
        assert options.split('" ')[0] == f'"-Djava.io.tmpdir={folder}'
        assert "-XX:-UsePerfData" in options
        assert homes == f"{folder}/keras {folder}/matplotlib"
        (Path(folder) / "blockmgr-1" / "00").mkdir(parents=True)
        assert Path(folder).exists()
        os.killpg(run.pid, number)
    assert disappears(Path(folder))
    assert list(tmp.iterdir()) == []


def test_who_reads_a_runs_output_by_a_pipe_sees_its_end_with_the_run(tmp: Path) -> None:
    end, inherited = os.pipe()  # as the shell of `make run 2> >(grep ...)` has it, beside standard output
    command = ["bash", "-c", SCRIPT, "bash", "org.apache.spark.deploy.SparkSubmit"]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp), "HOME": str(tmp), "HOSTNAME": "here"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, pass_fds=[inherited]) as run:
        os.close(inherited)
        (folder, *_) = lines_of(run)
        run.kill()
        # Who removes the folder goes on for five seconds and more.
        assert select.select([end], [], [], 4) == ([end], [], [])
        assert os.read(end, 1) == b""
    os.close(end)
    assert disappears(Path(folder))


def test_what_a_dead_run_left_goes_with_the_next_and_that_of_a_running_one_stays(tmp: Path) -> None:
    dead, alive = tmp / "ringmill-run-there-1-a", tmp / "ringmill-run-there-2-b"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / ".lock").touch()
        (folder / "liblz4-java-1.so").touch()
    with (alive / ".lock").open() as lock, start(tmp) as run:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines_of(run)
        assert disappears(dead)
        assert sorted(path.name for path in alive.iterdir()) == [".lock", "liblz4-java-1.so"]
        run.kill()


def test_the_next_run_removes_files_of_a_dead_service_and_no_running_ones(tmp: Path) -> None:
    dead, alive = tmp / "ringmill-tmp-model-a", tmp / "ringmill-tmp-model-b"
    for folder in (dead, alive):
        (folder / "saved_model").mkdir(parents=True)
    lock = os.open(alive, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with start(tmp) as run:
            lines_of(run)
            assert (dead.exists(), alive.exists()) == (False, True)
            run.kill()
    finally:
        os.close(lock)


def test_other_programs_of_sparks_and_folders_that_are_there_stay_as_they_are(tmp: Path) -> None:
    (tmp / ".keras").mkdir()
    with start(tmp, "org.apache.spark.deploy.worker.Worker") as worker:
        assert lines_of(worker)[:2] == [str(tmp), ""]
        worker.kill()
    with start(tmp, MPLCONFIGDIR="/mine") as run:
        assert lines_of(run)[2] == " /mine"
        run.kill()


def test_files_of_killed_proxies_go_and_those_in_use_stay(tmp: Path) -> None:
    old, new = (Path("/tmp") / f"hydra_hwloc_xmlfile_{age}{os.getpid()}" for age in ("old", "new"))
    for file in (old, new):
        file.write_text("<topology/>")
    os.utime(old, (time.time() - 10, time.time() - 10))
    try:
        with start(tmp) as run:
            lines_of(run)
            assert (old.exists(), new.exists()) == (False, True)
            run.kill()
        assert disappears(new, 20)  # it is old enough by the time that the run's folder is gone
    finally:
        for file in (old, new):
            file.unlink(missing_ok=True)
