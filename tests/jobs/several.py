"""Run several jobs one after the other in one process, which starts Java once for all of them.

spark-submit tests/jobs/several.py --config CONFIG FOLDER

FOLDER/jobs.json has a list of a job's name and its arguments for each; FOLDER/ended.json gets the exit code of each, and what
it printed. CONFIG, one of theirs, says how large their work is.
"""

from __future__ import annotations

import io
import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from pipelines.runtime import command_line

PROGRAM = "tests/jobs/several.py"


class Ended(NamedTuple):
    """How a job ended: its exit code, and all that it printed."""

    code: int
    printed: str


def in_turn(
    folder: Path, config: str, jobs: Sequence[tuple[str, ...]], submit: Callable[..., subprocess.CompletedProcess[str]]
) -> list[Ended]:
    """How each of the jobs ended, which `submit` runs by this program with their list in a folder."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    completed = submit(PROGRAM, "--config", config, str(folder))
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return [Ended(*end) for end in json.loads((folder / "ended.json").read_text())]


def run(job: str, arguments: list[str]) -> tuple[int | str | None, str]:
    """Run a job's file as a program; its exit code, and all that it printed."""
    sys.argv = [f"jobs/{job}.py", *arguments]
    code: int | str | None = 0
    goes_on = patch.object(command_line, "end_process", sys.exit)  # with the next job, in the same process
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed), goes_on:
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            code = end.code
    return code, printed.getvalue()


def main(folder: Path) -> None:
    """Run the jobs of a folder."""
    jobs = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    ended = [run(job, arguments) for job, *arguments in jobs]
    (folder / "ended.json").write_text(json.dumps(ended), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
