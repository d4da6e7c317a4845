"""Files by URI through pyarrow: local, S3 or HDFS; what is written appears whole or not at all."""

from __future__ import annotations

import posixpath
import re
import threading
import time
import uuid
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

from pyarrow import fs

from pipelines.config import LakeConfig
from pipelines.interruption import PROCESS

OBJECT_STORES = {"s3", "gcs"}
PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial(?=/|$)")  # the end of a name under which something is written before it is moved
HIDDEN = re.compile(r"[._][^=]*$")  # a name that is none of a table's files, nor of a partition's folder


def warehouse_uri(lake: LakeConfig) -> str:
    """The warehouse's path or URI; a relative path counts from the folder in which the job was started."""
    if urlparse(lake.warehouse).scheme not in ("", "file"):
        return lake.warehouse.rstrip("/")
    return str(Path(urlparse(lake.warehouse).path).absolute())


def locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path within it; `s3a` is read as `s3`."""
    scheme = urlparse(uri).scheme
    if scheme in ("", "file"):
        return fs.LocalFileSystem(), str(Path(urlparse(uri).path).absolute())
    # The path as it stands: pyarrow would take a `%3A` in it, which is in the name of many a partition, for a colon.
    store, _, path = uri.partition("://")[2].partition("/")
    filesystem, root = _store(scheme, store)
    return filesystem, posixpath.join(root, path)


@cache
def _store(scheme: str, name: str) -> tuple[fs.FileSystem, str]:
    """A store and its root; asked once, since S3 is asked for the region of each bucket."""
    # A small object is one request: a writer that is killed leaves no upload of parts, which only its bucket's rules would end.
    options = "?allow_delayed_open=true" if scheme in ("s3", "s3a") else ""
    filesystem, root = fs.FileSystem.from_uri(f"{'s3' if scheme == 's3a' else scheme}://{name}/{options}")
    return filesystem, root


def is_local(uri: str) -> bool:
    """Whether a path or URI is of this machine's file system."""
    return isinstance(locate(uri)[0], fs.LocalFileSystem)


def write_bytes(uri: str, content: bytes) -> None:
    """Write a file whole or not at all: to a name of its own first, then moved into place. An object store needs no such name:
    it shows an object once all of it has come.
    """
    filesystem, path = locate(uri)
    filesystem.create_dir(posixpath.dirname(path), recursive=True)
    if filesystem.type_name in OBJECT_STORES:
        with _uninterrupted(), filesystem.open_output_stream(path) as stream:
            stream.write(content)
        return
    partial = _partial(path)
    try:
        with filesystem.open_output_stream(partial) as stream:
            stream.write(content)
        filesystem.move(partial, path)
    except OSError:
        with suppress(OSError):
            filesystem.delete_file(partial)
        raise


def _partial(path: str) -> str:
    return f"{path}.{uuid.uuid4().hex}.partial"


def _uninterrupted() -> AbstractContextManager[None]:
    """Within it no signal closes a stream early, which would make an object of the part that is there. The main thread alone
    handles signals.
    """
    return PROCESS.shielded() if threading.current_thread() is threading.main_thread() else nullcontext()


def read_bytes(uri: str) -> bytes:
    """Read a file whole; raises FileNotFoundError when there is none."""
    filesystem, path = locate(uri)
    with filesystem.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content


def publish_folder(local: Path, uri: str) -> None:
    """Copy a local folder to a URI whole, in the place of what was there.

    An object store moves no folders. There the files that lie in the folder itself come last, and the folder is whole when this
    returns, so tell nobody of it before.
    """
    filesystem, path = locate(uri)
    moves = filesystem.type_name not in OBJECT_STORES
    copied = _partial(path) if moves else path
    if not moves:
        delete_folder(uri)
    filesystem.create_dir(copied, recursive=True)
    for one in sorted(local.iterdir(), key=lambda one: (one.is_file(), one.name)):
        if one.is_dir():
            filesystem.create_dir(f"{copied}/{one.name}", recursive=True)
        fs.copy_files(
            str(one), f"{copied}/{one.name}", source_filesystem=fs.LocalFileSystem(), destination_filesystem=filesystem
        )
    if moves:
        delete_folder(uri)
        filesystem.move(copied, path)


def fetch_folder(uri: str, local: Path) -> Path:
    """A folder's local path: its own when it is local, else `local`, into which it is copied."""
    filesystem, path = locate(uri)
    if isinstance(filesystem, fs.LocalFileSystem):
        return Path(path)
    fs.copy_files(path, str(local), source_filesystem=filesystem, destination_filesystem=fs.LocalFileSystem())
    return local


def delete_folder(uri: str) -> None:
    """Remove a folder and all that is in it; one that is not there is no error."""
    filesystem, path = locate(uri)
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        filesystem.delete_dir(path)


def list_files(uri: str) -> list[str]:
    """The files of a folder, in order of their names, without those of its folders; none when it is not there."""
    filesystem, path = locate(uri)
    entries = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return sorted(f"{uri}/{info.base_name}" for info in entries if info.type == fs.FileType.File)


def list_folders(uri: str) -> list[str]:
    """The folders of a folder, in order of their names; none when it is not there."""
    filesystem, path = locate(uri)
    entries = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return sorted(f"{uri}/{info.base_name}" for info in entries if info.type == fs.FileType.Directory)


def delete_file(uri: str) -> None:
    """Remove a file; raises FileNotFoundError where there is none."""
    filesystem, path = locate(uri)
    filesystem.delete_file(path)


def remove_partials(uri: str, seconds: float, *, dry: bool = False) -> int:
    """Remove the files and folders, anywhere in a folder, that killed writers left before they were moved into place: those
    in which nothing has changed for so long. Return how many; `dry` counts them alone.
    """
    filesystem, path = locate(uri)
    changed: dict[str, float] = {}
    files = set()
    for info in filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True)):
        if end := PARTIAL.search(info.path, len(path)):
            partial = info.path[: end.end()]
            changed[partial] = max(changed.get(partial, 0.0), (info.mtime_ns or 0) / 1e9)
            if info.type == fs.FileType.File and partial == info.path:
                files.add(partial)
    idle = [partial for partial, at in changed.items() if time.time() - at > seconds]
    for partial in [] if dry else idle:
        with suppress(FileNotFoundError):  # another job was faster
            (filesystem.delete_file if partial in files else filesystem.delete_dir)(partial)
    return len(idle)


def idle_folders(uri: str, seconds: float) -> list[str]:
    """The folders in a folder that hold files, none of which has changed for so long."""
    filesystem, path = locate(uri)
    newest: dict[str, float] = {}
    for entry in filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True)):
        if entry.type == fs.FileType.File:
            folder = entry.path.removeprefix(path).strip("/").split("/")[0]
            newest[folder] = max(newest.get(folder, 0.0), entry.mtime_ns / 1e9)
    return [f"{uri}/{folder}" for folder, changed in newest.items() if time.time() - changed > seconds]


def files_before(uri: str, moment: datetime) -> set[str]:
    """The files, anywhere in a folder, that were last changed before a moment, each as `locate` has its path.

    Names that begin with a dot or an underscore are hidden, but for those of partitions, as Iceberg and Hadoop have it.
    """
    filesystem, path = locate(uri)
    entries = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    old = (each.path for each in entries if each.type == fs.FileType.File and (each.mtime_ns or 0) / 1e9 < moment.timestamp())
    return {each for each in old if not any(map(HIDDEN.match, each.removeprefix(path).split("/")))}
