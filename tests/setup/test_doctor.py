"""The doctor says what is wrong and how to mend it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.conftest import ROOT


def doctor(config: str = "conf/flights.yaml", **environment: str) -> tuple[int, dict[str, str]]:
    """Run the doctor; its exit code and its lines by check."""
    command = [sys.executable, "setup/doctor.py", "--config", config]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment})
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert done.returncode in (0, 5), done.stderr
    names = ("Java", "C++ compiler", "Horovod", "process tools", "jars", "ports", "disk", "slots")
    return done.returncode, {name: next(line for line in lines if name in line[:22]) for name in names}


def test_a_ready_machine_is_well() -> None:
    code, lines = doctor()
    assert {name: line for name, line in lines.items() if not line.startswith("ok")} == {}
    assert code == 0
    assert "MPI True" in lines["Horovod"]


def test_a_missing_java_is_named_with_its_cure(tmp_path: Path) -> None:
    code, lines = doctor(JAVA_HOME=str(tmp_path))
    assert code == 5
    assert lines["Java"].startswith("WRONG")
    assert "Install openjdk-17-jre-headless, or set JAVA_HOME." in lines["Java"]
    assert lines["C++ compiler"].startswith("ok")


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    _, lines = doctor(PATH=str(tmp_path), JAVA_HOME=str(tmp_path))
    assert "no g++ found" in lines["C++ compiler"]


def test_more_ranks_than_slots_is_told_before_a_run(write: Callable[[str, str], str]) -> None:
    content = yaml.safe_load((ROOT / "conf/flights.yaml").read_text())
    content["train"]["ranks"] = 7
    code, lines = doctor(write("c.yaml", yaml.safe_dump(content)))
    assert code == 5
    assert "7 ranks need 7 slots, the cluster has 2" in lines["slots"]


def test_a_wrong_configuration_is_no_traceback(write: Callable[[str, str], str]) -> None:
    code, lines = doctor(write("c.yaml", "nothing: 1"))
    assert code == 5
    assert lines["slots"].startswith("WRONG")
    assert "Traceback" not in lines["slots"]
