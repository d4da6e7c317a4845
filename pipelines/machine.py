"""Whether this machine can run a rank: what TensorFlow's and Horovod's binaries need of its processor and C library."""

from __future__ import annotations

import os
import platform
import re
import socket
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

CPUINFO = Path("/proc/cpuinfo")
AVX_ARCHITECTURE = "x86_64"  # TensorFlow's wheels of others need no AVX
BINARIES = {"tensorflow": ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2"), "horovod": ("tensorflow/mpi_lib*.so",)}
GLIBC = re.compile(rb"GLIBC_([\d.]+)")
NEEDED_VERSIONS = 0x6FFFFFFE  # the type of ELF's section .gnu.version_r (Linux Standard Base, core specification)


class Machine(NamedTuple):
    """What matters of a machine. Versions are those of the C library glibc, such as 2.36; empty where there is none."""

    host: str
    architecture: str
    has_avx: bool
    glibc: str
    needed_glibc: str

    def problem(self) -> tuple[str, str] | None:
        """What keeps a rank from running here (expected, received), and how to fix it; None where nothing does."""
        if self.architecture == AVX_ARCHITECTURE and not self.has_avx:
            return (
                f"{self.host} has a processor without AVX; TensorFlow expects the flag avx in {CPUINFO}, received none",
                "Use a host whose processor has AVX, or have the virtual machine pass the host's processor through.",
            )
        if _numbers(self.glibc) < _numbers(self.needed_glibc):
            return (
                f"{self.host} has {f'glibc {self.glibc}' if self.glibc else 'another C library than glibc'}; TensorFlow and "
                f"Horovod as installed there expect glibc {self.needed_glibc} or later",
                "Use a host with a newer system, or build the environment on a system as old as that host's.",
            )
        return None

    def __str__(self) -> str:
        needed = f", {self.needed_glibc} needed" if self.needed_glibc else ""
        return f"{self.host}: {'AVX' if self.has_avx else 'no AVX'}, glibc {self.glibc or 'none'}{needed}"


def this_machine(cpuinfo: Path = CPUINFO) -> Machine:
    """The machine that this process runs on. It reads headers of binaries, and imports none of their packages."""
    name = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    flags = next((line for line in _lines(cpuinfo) if line.startswith("flags")), "")
    needed = [version for path in _binaries() for version in needed_glibc(path)]
    return Machine(
        host=socket.gethostname(),
        architecture=platform.machine(),
        has_avx="avx" in flags.split(),
        glibc=(name or "").removeprefix("glibc").strip(),
        needed_glibc=max(needed, key=_numbers, default=""),
    )


def needed_glibc(path: Path) -> list[str]:
    """The versions of glibc that a 64-bit ELF binary asks for; empty for another file."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content[:6] != b"\x7fELF\x02\x01":
            return []
        return sorted({version.decode() for text in _needed_names(content) for version in GLIBC.findall(text)}, key=_numbers)


def _needed_names(content: mmap) -> Iterator[bytes]:
    """The names that the sections of needed versions point at: in each, of a library, a chain of entries, of versions."""
    (table,) = struct.unpack_from("<Q", content, 0x28)
    size, count = struct.unpack_from("<HH", content, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", content, table + number * size) for number in range(count)]
    for _, kind, _, _, offset, _, link, entries, _, _ in sections:
        if kind != NEEDED_VERSIONS:
            continue
        names, entry = sections[link][4], offset
        for _ in range(entries):
            _, versions, _, first, next_entry = struct.unpack_from("<HHIII", content, entry)
            version = entry + first
            for _ in range(versions):
                _, _, _, name, next_version = struct.unpack_from("<IHHII", content, version)
                yield content[names + name : content.find(b"\0", names + name)]
                version += next_version
            entry += next_entry


def _binaries() -> Iterator[Path]:
    for package, patterns in BINARIES.items():
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for pattern in patterns:
                yield from Path(folder).glob(pattern)


def _lines(path: Path) -> list[str]:
    """The lines of a file, none where it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
