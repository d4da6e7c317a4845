"""A program is ended with all that it started, in order and in time. Here bash plays Airflow's scheduler and a task."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil

from setup.sessions import end_session, process_groups

# A program that waits for its task, as a scheduler does. `set -m` gives the task a process group of its own.
PROGRAM = """
set -m
bash -c '{task}' &
trap 'echo program >>events; wait; echo ended >>events; exit' TERM
while true; do wait; done
"""
OBEDIENT = 'trap "echo task >>events; exit" TERM; touch ready; while true; do sleep 0.05; done'
STUBBORN = 'trap "" TERM; touch ready; while true; do sleep 0.05; done'


def started(task: str, folder: Path) -> subprocess.Popen[bytes]:
    """The program at work, once its task has set its trap."""
    command = ["bash", "-c", PROGRAM.format(task=task)]
    program = subprocess.Popen(command, cwd=folder, start_new_session=True)
    deadline = time.monotonic() + 10
    while not (folder / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return program


def test_a_program_and_its_task_get_a_signal_each_and_the_program_ends_last(tmp_path: Path) -> None:
    program = started(OBEDIENT, tmp_path)
    assert len(process_groups(program.pid)) == 2
    end_session(program, seconds=10)
    *signalled, last = (tmp_path / "events").read_text().split()
    assert (sorted(signalled), last) == (["program", "task"], "ended")
    assert (program.returncode, process_groups(program.pid)) == (0, set())


def test_what_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    program = started(STUBBORN, tmp_path)
    task = [child for child in psutil.Process(program.pid).children() if child.name() == "bash"]
    since = time.monotonic()
    end_session(program, seconds=0.5)
    assert 0.5 <= time.monotonic() - since < 5
    assert program.returncode == -9
    assert len(task) == 1
    _, alive = psutil.wait_procs(task, timeout=5)
    assert alive == []


def test_a_task_whose_program_is_dead_is_ended_too(tmp_path: Path) -> None:
    program = started(OBEDIENT, tmp_path)
    program.kill()
    program.wait()
    end_session(program, seconds=10)
    assert (tmp_path / "events").read_text().split() == ["task"]
    assert process_groups(program.pid) == set()
