"""Set-up on a machine that lacks something: one clear line, no traceback, exit 5."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.root import ROOT

TOOLS = ("bash", "sed", "head", "id", "python3.11", "g++", "setpriv", "java")
MARIADB = ("mariadbd", "mariadb")
OPTIONAL = (*MARIADB, "chromium", "wrk")  # only looked for, not run


def system(tmp_path: Path, without: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the check with a PATH that holds all tools but one, and no apt-get unless the folder BEFORE has one."""
    tools = tmp_path / "bin"
    tools.mkdir(parents=True)
    for tool in TOOLS:
        if tool != without:
            executable = shutil.which(tool)
            assert executable, tool
            (tools / tool).write_text(f'#!/bin/sh\nexec "{executable}" "$@"\n')
            (tools / tool).chmod(0o755)
    for tool in OPTIONAL:
        if tool != without:
            (tools / tool).touch(mode=0o755)
    inherited = {name: value for name, value in os.environ.items() if name not in ("JAVA_HOME", "PATH")}
    inherited["MARIADB_PATH"] = ""
    command = [shutil.which("bash") or "bash", str(ROOT / "setup" / "system.sh")]
    path = ":".join(filter(None, (environment.pop("BEFORE", ""), str(tools))))
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**inherited, "PATH": path, **environment})


def test_a_machine_with_everything_passes_silently(tmp_path: Path) -> None:
    completed = system(tmp_path, without="")
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("java", "Java 17 or 21 is needed, found none. Install openjdk-17-jre-headless, or set JAVA_HOME."),
        ("g++", "a C++ compiler is needed to build Horovod, found none. Install g++."),
        ("setpriv", "no setpriv found. Install util-linux 2.33 or newer."),
        ("python3.11", "no python3.11 found. Install Python 3.11"),
    ],
)
def test_a_missing_tool_is_one_clear_line(tmp_path: Path, without: str, message: str) -> None:
    completed = system(tmp_path, without)
    assert completed.returncode == 5
    assert completed.stderr.startswith(f"ringmill: {message}")
    assert len(completed.stderr.strip().splitlines()) == 1


NO_MARIADB = "no MariaDB server found, so its tests are skipped. They need mariadb-server-core and mariadb-client-core."
NO_WRK = "no wrk found, so make bench-serving can't put load on the service. It needs wrk."


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("mariadbd", NO_MARIADB),
        ("mariadb", NO_MARIADB),
        ("chromium", "no Chromium found, so tests of pages are skipped. They need chromium."),
        ("wrk", NO_WRK),
    ],
)
def test_without_what_tests_alone_need_set_up_continues(tmp_path: Path, without: str, message: str) -> None:
    completed = system(tmp_path, without)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout == f"ringmill: {message}\n"


@pytest.mark.parametrize(("code", "last"), [(0, []), (100, [f"ringmill: {NO_WRK}"])])
def test_what_tests_alone_need_is_installed_once_it_is_named(tmp_path: Path, code: int, last: list[str]) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "apt-get").write_text(f'#!/bin/sh\n[ "$1" = update ] || echo "$*" >&2\nexit {code}\n')
    (tools / "id").write_text("#!/bin/sh\necho 0\n")
    for tool in ("apt-get", "id"):
        (tools / tool).chmod(0o755)
    completed = system(tmp_path / "machine", without="wrk", BEFORE=str(tools))
    assert completed.returncode == 0
    assert completed.stderr == "install -y -qq --no-install-recommends wrk\n"
    first, *rest = completed.stdout.splitlines()
    assert first == "ringmill: no wrk found; installing the Debian package wrk (as root, with apt-get)"
    assert rest == last


def test_a_java_of_another_version_is_named(tmp_path: Path) -> None:
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    (home / "bin" / "java").chmod(0o755)
    completed = system(tmp_path, without="", JAVA_HOME=str(home))
    assert completed.returncode == 5
    assert "Java 17 or 21 is needed, found 11." in completed.stderr


def test_a_python_of_another_version_is_named(tmp_path: Path) -> None:
    fake = tmp_path / "python3.12"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.12.1 && exit\nexit 1\n')
    fake.chmod(0o755)
    completed = system(tmp_path, without="", PYTHON=str(fake))
    assert completed.returncode == 5
    assert "is Python 3.12.1; expected Python 3.11" in completed.stderr
