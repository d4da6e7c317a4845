"""A secret that can be searched for: in command lines while a run goes on, and in all that the run left, unpacked."""

from __future__ import annotations

import base64
import io
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq

SECONDS_BETWEEN_LOOKS = 0.02


def holds(content: bytes, secrets: list[str]) -> bool:
    """Whether content has one of the secrets, as it is or in base64 as a header has it."""
    forms = [form for each in secrets for form in (each.encode(), base64.b64encode(each.encode()).rstrip(b"="))]
    return any(form in content for form in forms)


def leaks(files: Iterator[tuple[str, bytes]], secrets: list[str]) -> list[str]:
    """The names of the files that have a secret, looked into where they are compressed."""
    return [name for name, content in files if any(holds(part, secrets) for part in unpacked(name, content))]


def unpacked(name: str, content: bytes) -> Iterator[bytes]:
    """A file's bytes, and those that are compressed in it: columns of Parquet, blocks of Avro, members of an archive."""
    yield name.encode()
    yield content
    if content.startswith(b"PAR1"):
        yield str(pq.read_table(io.BytesIO(content)).to_pydict()).encode()
    elif content.startswith(b"Obj\x01"):
        yield from _avro_blocks(content)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from unpacked(member, archive.read(member))
    elif content.startswith(b"\x1f\x8b"):
        yield zlib.decompress(content, wbits=31)


def in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each file below a folder that can still be read."""
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and path.suffix != ".jar":
                yield str(path), path.read_bytes()


@contextmanager
def watched_processes(secrets: list[str]) -> Iterator[set[str]]:
    """The command lines of all processes that show a secret meanwhile."""
    leaking: set[str] = set()
    over = threading.Event()

    def scan() -> None:
        seen: set[bytes] = set()
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            for process in psutil.pids():
                with suppress(OSError), Path(f"/proc/{process}/cmdline").open("rb", buffering=0) as file:  # it may have ended
                    if (line := file.read()) not in seen:
                        seen.add(line)
                        if holds(line, secrets):
                            leaking.add(line.replace(b"\0", b" ").decode(errors="replace"))

    watcher = threading.Thread(target=scan, daemon=True)
    watcher.start()
    try:
        yield leaking
    finally:
        over.set()
        watcher.join()


def _avro_blocks(content: bytes) -> Iterator[bytes]:
    """The blocks of an Avro file whose codec is deflate, which is how Iceberg writes its manifests."""
    start = content.index(content[-16:]) + 16  # the marker that ends the header ends each block, the last one too
    while start < len(content):
        _, start = _number(content, start)
        size, start = _number(content, start)
        yield zlib.decompress(content[start : start + size], wbits=-15)
        start += size + 16


def _number(content: bytes, at: int) -> tuple[int, int]:
    """Avro's number at a position, and the position after it."""
    value, shift = 0, 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:  # the last byte of a number
            return (value >> 1) ^ -(value & 1), at
