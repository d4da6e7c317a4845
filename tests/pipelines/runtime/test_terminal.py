"""A job under spark-submit finds the terminal behind spark-submit's pipe; one under a plain pipe stays with it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.root import ROOT

PROGRAM = "from pipelines.runtime.terminal import console; c = console(); c.print(f'terminal {c.is_terminal}')"


def output_of(tmp_path: Path, parent: str, *, terminal: bool) -> str:
    """What a job prints whose parent, of that name, gives it a pipe and copies it on, as spark-submit does."""
    script = tmp_path / parent
    script.write_text('#!/bin/bash\n"$@" | cat\n')
    script.chmod(0o755)
    command = [str(script), sys.executable, "-c", PROGRAM]
    if not terminal:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60).stdout
    ours, theirs = pty.openpty()
    try:
        subprocess.run(command, stdout=theirs, check=True, cwd=ROOT, timeout=60)
        os.set_blocking(ours, False)
        return os.read(ours, 4096).decode()
    finally:
        os.close(theirs)
        os.close(ours)


@pytest.mark.parametrize(
    ("parent", "terminal", "expected"), [("java", True, True), ("java", False, False), ("less", True, False)]
)
def test_the_terminal_is_spark_submits(tmp_path: Path, parent: str, terminal: bool, expected: bool) -> None:
    assert f"terminal {expected}" in output_of(tmp_path, parent, terminal=terminal)
