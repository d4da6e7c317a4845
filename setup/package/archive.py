"""Archives as Spark unpacks them: tar files compressed by gzip, with the same bytes for the same files."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import IO, NamedTuple

from isal.igzip import IGzipFile

from pipelines.machine import needed_glibc

WRITE_BYTES = 1 << 16  # of a block that tarfile copies once more for each 16 kB that it reads
EARLIEST = (1980, 1, 1, 0, 0, 0)  # of a zip file's entries


class Member(NamedTuple):
    """A file of an archive: its name there, and where its content is; with `link` a symbolic link to that name."""

    name: str
    source: Path
    link: str = ""


def write_tar(members: Iterable[Member], target: Path, level: int | None = None) -> int:
    """Write a tar file, compressed by gzip at a level of ISA-L from 0 to 3, or not at all; returns the bytes of what is in it.

    Times of change are kept, by which Python sees that its compiled files are up to date.
    """
    with (
        target.open("wb") as file,
        nullcontext(file) if level is None else _gzipped(file, level) as stream,
        tarfile.open(fileobj=stream, mode="w|", bufsize=WRITE_BYTES) as tar,
    ):
        return sum(_add(tar, member) for member in sorted(set(members)))


def _gzipped(file: IO[bytes], level: int) -> IGzipFile:
    """A stream that is compressed by gzip, without a name or time. ISA-L takes a sixth of gzip's time for the same size."""
    return IGzipFile("", "wb", level, file, mtime=0)  # type: ignore[no-untyped-call]


def _add(tar: tarfile.TarFile, member: Member) -> int:
    info = tar.gettarinfo(member.source, member.name)
    info.uid, info.gid, info.uname, info.gname, info.mtime = 0, 0, "", "", int(info.mtime)
    info.mode |= 0o644
    if member.link:
        info.type, info.linkname, info.size = tarfile.SYMTYPE, member.link, 0
    if not info.isreg():
        tar.addfile(info)
        return 0
    with member.source.open("rb") as file:
        tar.addfile(info, file)
    return info.size


def write_zip(members: Iterable[Member], target: Path) -> int:
    """Write a zip file without times of change; returns the bytes of what is in it."""
    total = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in sorted(members):
            content = member.source.read_bytes()
            archive.writestr(zipfile.ZipInfo(member.name, EARLIEST), content, zipfile.ZIP_DEFLATED)
            total += len(content)
    return total


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def newest_glibc(members: Iterable[Member]) -> str:
    """The newest version of the C library that a binary asks for, such as 2.34: hosts need it, or a later one."""
    binaries = [member.source for member in members if not member.link and _is_binary(member.name)]
    versions = {tuple(map(int, version.split("."))) for path in binaries for version in needed_glibc(path)}
    return ".".join(map(str, max(versions, default=(0, 0))))


def _is_binary(name: str) -> bool:
    return name.startswith("bin/") or ".so" in Path(name).suffixes
