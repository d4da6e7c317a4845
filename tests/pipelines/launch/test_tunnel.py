"""Ranks on two hosts talk through WireGuard, and nothing that they send each other passes between the hosts in plain."""

from __future__ import annotations

import os
import shlex
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import pytest

from pipelines.launch.barrier import HOROVOD, TUNED, interface_variables
from pipelines.launch.environment import Assignment
from pipelines.launch.hydra import PROXY, Hydra
from tests.capture import frames
from tests.hosts import Host, hosts, missing_permission
from tests.root import ROOT
from tests.tunnels import INTERFACE, PORT, missing_wireguard, wireguard

WORD, COUNT = "gradients of a secret model ", 20_000
TIMEOUT_SECONDS = 60
IPV4, UDP = 0x0800, 17


@pytest.mark.slow
def test_what_ranks_send_by_a_tunnel_is_not_read_between_the_hosts(tmp_path: Path) -> None:
    if reason := missing_permission() or missing_wireguard():
        pytest.skip(reason)
    with hosts(("left", "right"), tmp_path, {}) as pair:
        plain = _frames_of_an_all_reduce(pair, tmp_path / "plain", {"FI_TCP_IFACE": "eth0"})
        assert WORD.encode() in b"".join(plain)  # the capture reads what is not encrypted
        with wireguard(pair, tmp_path):
            _, variables = interface_variables(Assignment("", 60, encrypted_interface=INTERFACE), pair[0].address)
            encrypted = _frames_of_an_all_reduce(pair, tmp_path / "encrypted", variables)
    assert sum(map(len, encrypted)) > len(WORD) * COUNT  # they have passed here
    assert WORD.encode()[:8] not in b"".join(encrypted)
    assert {kind for frame in encrypted if (kind := _kind(frame))} == {(UDP, PORT)}


def _kind(frame: bytes) -> tuple[int, int] | None:
    """The protocol and the port of an IPv4 packet's receiver; None of another frame, such as ARP's."""
    if struct.unpack_from("!H", frame, 12)[0] != IPV4:
        return None
    return frame[23], struct.unpack_from("!H", frame, 14 + 4 * (frame[14] & 0x0F) + 2)[0]


def _frames_of_an_all_reduce(pair: list[Host], folder: Path, interface: Mapping[str, str]) -> list[bytes]:
    """What passes between the hosts while a rank on each adds up the word with the other's, by the launcher's own programs."""
    folder.mkdir()
    program = _program(folder)
    with _capture(pair[0].hub, folder / "frames"), Hydra(len(pair)) as hydra:
        proxies = [_start_proxy(hydra, host, rank, program, interface) for rank, host in enumerate(pair)]
        assert [proxy.wait(timeout=TIMEOUT_SECONDS) for proxy in proxies] == [0] * len(pair), hydra.output()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while hydra.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert hydra.output().count(f"{len(WORD) * COUNT} bytes added up") == len(pair), hydra.output()
    return list(frames(folder / "frames"))


def _program(folder: Path) -> Path:
    """What a task runs instead of python: a rank that needs MPI alone."""
    library = distribution("mpich").locate_file("../../libmpi.so.12")
    rank = [sys.executable, str(ROOT / "tests" / "pipelines" / "launch" / "mpi_rank.py"), str(library), WORD, str(COUNT)]
    path = folder / "rank.sh"
    path.write_text(f"#!/bin/sh\nexec {shlex.join(rank)}\n")
    path.chmod(0o755)
    return path


def _start_proxy(hydra: Hydra, host: Host, rank: int, program: Path, interface: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a rank's proxy on a host as a task does, with a line to mpiexec that the host has no way to."""
    variables = {"RINGMILL_PYTHON": str(program), "RINGMILL_FOLDER": "/"}
    with socket.create_connection(("127.0.0.1", hydra.port)) as line:
        descriptor = {"HYDI_CONTROL_FD": str(line.fileno())}
        return subprocess.Popen(
            ["ip", "netns", "exec", host.name, str(Path(sys.executable).with_name(PROXY)), *hydra.proxies[rank]],
            env={**os.environ, **TUNED, **variables, **HOROVOD, **interface, **descriptor},
            pass_fds=[line.fileno()],
        )


@contextmanager
def _capture(namespace: str, file: Path) -> Iterator[None]:
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, str(ROOT / "tests" / "capture.py"), str(file)]
    )
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not file.exists():
            assert process.poll() is None and time.monotonic() < deadline, "the capture does not start"
            time.sleep(0.02)
        yield
        time.sleep(0.2)  # what is under way is written
    finally:
        process.terminate()
        process.wait(timeout=TIMEOUT_SECONDS)
