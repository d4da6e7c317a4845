"""Machines that can't run a rank are refused before TensorFlow is imported, in words that name host, expected and received."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from pipelines.errors import ConfigError
from pipelines.launch.channel import Channel
from pipelines.launch.interfaces import address_of
from pipelines.machine import Machine, needed_glibc, this_machine
from pipelines.messages import Handshake, Message, RankFailure
from pipelines.training import rank
from pipelines.tunnel import check_tunnel

FIT = Machine(host="worker-1", architecture="x86_64", has_avx=True, glibc="2.36", needed_glibc="2.34")


def test_this_machine_can_run_ranks_and_is_described() -> None:
    machine = this_machine()
    assert machine.problem() is None
    assert machine.host == socket.gethostname() and machine.architecture == os.uname().machine
    printed = subprocess.run(["getconf", "GNU_LIBC_VERSION"], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["glibc", machine.glibc]
    assert str(FIT) == "worker-1: AVX, glibc 2.36, 2.34 needed"


@pytest.mark.parametrize(("flags", "has_avx"), [("fpu sse4_2 avx avx2", True), ("fpu sse4_2 avx2 avx512f", False)])
def test_avx_is_a_flag_of_its_own(tmp_path: Path, flags: str, has_avx: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: Some CPU with avx\nflags\t\t: {flags}\n")
    assert this_machine(path).has_avx is has_avx


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"has_avx": False}, r"worker-1 has a processor without AVX; TensorFlow expects the flag avx in /proc/cpuinfo"),
        ({"glibc": "2.9"}, r"worker-1 has glibc 2\.9; TensorFlow and Horovod as installed there expect glibc 2\.34 or later"),
        ({"glibc": ""}, r"worker-1 has another C library than glibc; .* expect glibc 2\.34"),
    ],
)
def test_an_unfit_machine_is_named_with_what_was_expected(changes: dict[str, object], message: str) -> None:
    problem = FIT._replace(**changes).problem()  # type: ignore[arg-type]
    assert problem is not None
    assert re.match(message, problem[0])
    assert problem[1].startswith("Use a host ")


@pytest.mark.parametrize(
    "changes", [{}, {"architecture": "aarch64", "has_avx": False}, {"glibc": "2.34"}, {"glibc": "3.0"}, {"needed_glibc": ""}]
)
def test_a_machine_that_has_what_its_wheels_need_is_fit(changes: dict[str, object]) -> None:
    assert FIT._replace(**changes).problem() is None  # type: ignore[arg-type]


def test_the_c_library_that_a_binary_needs_is_read_from_its_header(tmp_path: Path) -> None:
    """Expected are the versions that the compiler was given: memcpy has been versioned anew in 2.14, pthread_create in 2.34."""
    source = tmp_path / "memory.c"
    source.write_text("#include <string.h>\nvoid *copy(void *to, void *of, size_t n) { return memcpy(to, of, n); }\n")
    library = tmp_path / "memory.so"
    command = ["gcc", "-shared", "-fPIC", "-O0", "-fno-builtin", "-o", str(library), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    assert needed_glibc(library)[-1] == ("2.14" if os.uname().machine == "x86_64" else needed_glibc(library)[-1])
    assert needed_glibc(source) == []


def test_a_rank_reports_an_unfit_host_and_imports_no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "_pin", lambda: None)
    monkeypatch.setattr(rank, "import_keras", lambda: pytest.fail("Keras is imported"))
    monkeypatch.setattr(rank, "this_machine", lambda: FIT._replace(has_avx=False))
    with Channel("127.0.0.1", 0) as channel:
        variables = {"RINGMILL_RANK": "1", "RINGMILL_CHANNEL": channel.address, "RINGMILL_KEY": channel.key}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(Exception, match="worker-1 has a processor without AVX"):
            rank.main()
        messages: list[Message] = [channel.messages.get(timeout=10) for _ in range(2)]
    assert isinstance(messages[0].content, Handshake)
    failure = messages[1].content
    assert isinstance(failure, RankFailure)
    assert (messages[1].rank, failure.type, failure.exit_code) == (1, "ExternalError", 5)
    assert failure.message.endswith("have the virtual machine pass the host's processor through.")


@pytest.fixture
def interfaces(tmp_path: Path) -> Path:
    """What the kernel shows of a host's interfaces: Ethernet, WireGuard of the kernel, a tun device, MACsec over Ethernet."""
    kinds = {"eth0": (1, ""), "wg0": (65534, "wireguard"), "wg1": (65534, ""), "macsec0": (1, "macsec"), "br0": (1, "bridge")}
    for name, (kind, device) in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "type").write_text(f"{kind}\n")
        (folder / "uevent").write_text(f"INTERFACE={name}\n" + (f"DEVTYPE={device}\n" if device else ""))
    return tmp_path


@pytest.mark.parametrize("name", ["wg0", "wg1", "macsec0"])
def test_a_tunnel_is_accepted(interfaces: Path, name: str) -> None:
    check_tunnel(name, interfaces)


@pytest.mark.parametrize(
    ("name", "received"),
    [
        ("wg7", r"has no network interface wg7; expected a tunnel, received br0, eth0, macsec0, wg0, wg1\. Set the tunnel up"),
        ("eth0", r"eth0 of .* is no tunnel; expected WireGuard, .* received an interface of type 1\. Name the tunnel's,"),
        ("br0", r"br0 of .* received an interface of type 1 \(bridge\)"),
    ],
)
def test_an_interface_that_is_no_tunnel_is_refused(interfaces: Path, name: str, received: str) -> None:
    with pytest.raises(ConfigError, match=rf"^train\.encrypted_interface: .*{received}") as caught:
        check_tunnel(name, interfaces)
    assert socket.gethostname() in str(caught.value)


def test_the_address_of_an_interface_is_the_hosts_own() -> None:
    assert address_of("lo") == "127.0.0.1"
    assert address_of("none-such") is None
