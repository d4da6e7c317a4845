"""Environments of their own for programs whose pins do not go with the project's: made once, in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


class EnvironmentFailedError(Exception):
    """Raised when an environment can't be made: the command that failed, and the last line that it printed."""


def environment(name: str, requirements: Path, *pins: str, check: str) -> Path:
    """The folder of a virtual environment with exactly the pinned packages; `check` is a line of Python that must run in it.

    It is made when it is missing, or was made of other pins or by another Python. Processes that want the same one wait for
    the first. Raises EnvironmentFailedError.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringmill" / name
    wanted = hashlib.sha256("\n".join([requirements.read_text(), *pins, sys.version]).encode()).hexdigest()
    stamp = folder / ".ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            print(f"installing {requirements.name} into {folder}", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, requirements, *pins)
            run_in(folder, "-c", check)
            stamp.write_text(wanted)
    return folder


def python(folder: Path) -> str:
    """The interpreter of an environment."""
    return str(folder / "bin" / "python")


def variables() -> dict[str, str]:
    """The environment variables of this process without those that bring the project's packages into another environment."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}


def run_in(folder: Path, *arguments: str) -> str:
    """Run an environment's Python and return what it prints; raises EnvironmentFailedError."""
    return _run(python(folder), *arguments)


def _install(folder: Path, requirements: Path, *pins: str) -> None:
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile")
    _run(sys.executable, "-m", "pip", "--python", python(folder), "install", *quiet, "-r", str(requirements), *pins)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, env=variables(), capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise EnvironmentFailedError(f"{' '.join(command)[:200]} ended with code {done.returncode}: {last}")
    return done.stdout
