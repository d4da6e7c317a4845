"""What this machine needs for ringmill, a function a check: it returns what it saw, or raises ProblemError. Plain Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv" / "bin" / "python"
INSTALL_JAVA = "Install openjdk-17-jre-headless, or set JAVA_HOME."
SET_UP = "Run `make setup`."
READ_HOROVOD = """
import horovod, horovod.tensorflow as hvd, tensorflow as tf
print(f"{horovod.__version__} on TensorFlow {tf.__version__}, MPI {bool(hvd.mpi_built())}, Gloo {bool(hvd.gloo_built())}")
"""
READ_MACHINE = """
import json
from pipelines.machine import this_machine
machine = this_machine()
print(json.dumps([str(machine), *(machine.problem() or ())]))
"""


class ProblemError(Exception):
    """Raised by a check that failed: what it saw, and how to fix it."""

    def __init__(self, saw: str, fix: str = "") -> None:
        super().__init__(f"{saw.rstrip('.')}. {fix}" if fix else saw)
        self.saw, self.fix = saw, fix


def run(*command: str) -> str:
    """What a command prints, on standard error if nowhere else; raises ProblemError when it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError as error:
        raise ProblemError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise ProblemError((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
    return done.stdout.strip() or done.stderr


def java_program() -> str:
    """The Java that Spark's scripts start, too."""
    home = os.environ.get("JAVA_HOME")
    return f"{home}/bin/java" if home else "java"


def java() -> str:
    """Return Java's version line; raise ProblemError unless Java 17 or 21 is installed."""
    try:
        text = run(java_program(), "-version")
    except ProblemError as error:
        raise ProblemError(f"no Java found ({error})", INSTALL_JAVA) from error
    version = re.search(r'version "(\d+)', text)
    if not version or version[1] not in ("17", "21"):
        raise ProblemError(f"{text.splitlines()[0]}; expected 17 or 21", INSTALL_JAVA)
    return text.splitlines()[0]


def compiler() -> str:
    """Return the version line of g++, which builds Horovod; raise ProblemError without one."""
    if not shutil.which("g++"):
        raise ProblemError("no g++ found; Horovod is built from source", "Install g++.")
    return run("g++", "--version").splitlines()[0]


def horovod() -> str:
    """Horovod loads, and has MPI."""
    if not VENV.exists():
        raise ProblemError("no virtual environment yet", SET_UP)
    try:
        text = run(str(VENV), "-c", READ_HOROVOD).strip().splitlines()[-1]
    except ProblemError as error:
        raise ProblemError(f"Horovod does not load: {error}", "Remove .venv/.ready and run `make setup`.") from error
    if "MPI True" not in text:
        fix = "Empty the wheels in the cache folder, remove .venv/.ready, run `make setup`."
        raise ProblemError(f"{text}; expected MPI", fix)
    return text


def process_tools() -> str:
    """mpiexec, its proxy and setpriv are there."""
    wanted = [VENV.with_name("mpiexec.hydra"), VENV.with_name("hydra_pmi_proxy")]
    missing = [path.name for path in wanted if not path.exists()]
    if missing:
        raise ProblemError(f"no {', '.join(missing)} in .venv; the mpich wheel brings them", SET_UP)
    if not shutil.which("setpriv"):
        raise ProblemError("no setpriv found", "Install util-linux.")
    return "mpiexec, hydra_pmi_proxy, setpriv"


def jars() -> str:
    """The pinned jars are beside the environment."""
    packages = [line.split(":") for line in (ROOT / "setup" / "jars.txt").read_text(encoding="utf-8").split()]
    wanted = [f"{group}_{artifact}-{version}.jar" for group, artifact, version in packages]
    missing = [name for name in wanted if not (ROOT / ".venv" / "jars" / name).exists()]
    if missing:
        raise ProblemError(f"not fetched yet: {', '.join(missing)}", "Run `make setup`; it needs the net.")
    archive = "" if (ROOT / ".venv" / "jars" / "classes.jsa").exists() else "; no archive of classes, so jobs start more slowly"
    return ", ".join(wanted) + archive


def processor() -> str:
    """The processor and the C library are what TensorFlow and Horovod as installed need."""
    if not VENV.exists():
        raise ProblemError("no virtual environment yet", SET_UP)
    facts, *problem = json.loads(run(str(VENV), "-c", READ_MACHINE))
    if problem:
        raise ProblemError(*problem)
    return str(facts)
