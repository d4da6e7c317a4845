"""mpiexec and its proxies, without Spark: any command can stand in for the executor's python."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.launch.hydra import LINES_KEPT, PROXY, Hydra
from pipelines.launch.loopback import hold_to_loopback, listeners
from tests.processes import running

HOST = "127.0.0.1"


def start_proxy(hydra: Hydra, folder: Path, script: str) -> subprocess.Popen[bytes]:
    """Start rank 0's proxy as a task does, with a shell script instead of python."""
    program = folder / "rank.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    proxy = str(Path(sys.executable).with_name(PROXY))
    variables = {"RINGMILL_PYTHON": str(program), "RINGMILL_FOLDER": str(Path.cwd())}
    return subprocess.Popen([proxy, *hydra.proxies[0]], env={**os.environ, **variables})


def wait(hydra: Hydra, seconds: float = 20) -> int:
    """Mpiexec's exit code, within some seconds."""
    deadline = time.monotonic() + seconds
    while (code := hydra.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert code is not None, "mpiexec does not end"
    return code


def test_a_proxy_is_named_for_each_rank() -> None:
    with Hydra(3) as hydra:
        assert len(hydra.proxies) == 3
        assert all(f"{HOST}:" in " ".join(proxy) for proxy in hydra.proxies)


def test_a_rank_that_prints_more_than_a_pipe_holds_is_not_stopped(tmp_path: Path) -> None:
    with Hydra(1) as hydra:
        proxy = start_proxy(hydra, tmp_path, "seq 1 100000; echo the end")
        assert wait(hydra) == 0
        proxy.wait(timeout=5)
        lines = hydra.output().splitlines()
    assert lines[-1] == "the end"
    assert len(lines) == LINES_KEPT


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 9)])
def test_a_rank_that_fails_ends_mpiexec_with_its_code(tmp_path: Path, script: str, code: int) -> None:
    with Hydra(1) as hydra:
        proxy = start_proxy(hydra, tmp_path, script)
        assert wait(hydra) == code
        proxy.wait(timeout=5)


def test_what_the_driver_knows_does_not_reach_mpiexec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGMILL_TEST_SECRET", "hush")
    with Hydra(1):
        mine = running(("mpiexec",)) & set(psutil.Process().children(recursive=True))
        assert [process.environ() for process in mine] == [{"PATH": "/usr/bin:/bin"}] * len(mine) != []


def test_leaving_ends_mpiexec_though_no_proxy_has_called() -> None:
    with Hydra(2) as hydra:
        assert hydra.poll() is None
    assert hydra.poll() == -9


def test_its_port_takes_what_comes_by_the_loopback_alone() -> None:
    with Hydra(1) as hydra:
        assert hydra.is_loopback_only
        mine = running(("mpiexec",)) & set(psutil.Process().children(recursive=True))
        devices = [
            listener.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")
            for process in mine
            for listener in listeners(process.pid, hydra.port)
        ]
        assert devices == [b"lo"]
        with socket.create_connection((HOST, hydra.port), timeout=5):
            pass


def test_a_port_that_no_child_has_is_not_held() -> None:
    with Hydra(1) as hydra:
        mine = running(("mpiexec",)) & set(psutil.Process().children(recursive=True))
        assert not any(hold_to_loopback(process.pid, hydra.port + 1) for process in mine)


def test_a_rank_works_in_the_folder_of_its_own_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, own = tmp_path / "gone", tmp_path / "own"
    missing.mkdir()
    own.mkdir()
    monkeypatch.chdir(missing)
    with Hydra(1) as hydra:
        missing.rmdir()  # as the driver's folder is on another host
        monkeypatch.chdir(own)
        proxy = start_proxy(hydra, tmp_path, "pwd")
        assert wait(hydra) == 0
        proxy.wait(timeout=5)
        assert hydra.output().strip() == str(own)
