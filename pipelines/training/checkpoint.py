"""Checkpoints: NumPy arrays in one archive, written whole or not at all; a damaged one is reported, and the one before used.

The SHA-256 of the archive follows it: a byte that has changed may leave an archive that can be read, with less in it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.errors import DataError, ExternalError, RankError, is_of_store
from pipelines.io.filesystem import delete_file, list_files, read_bytes, write_bytes

META = "meta.json"
DIGEST = hashlib.sha256().digest_size
KEPT = 2


class Checkpoint(NamedTuple):
    """Arrays in the order in which they were saved, and what was noted beside them."""

    arrays: list[npt.NDArray[Any]]
    meta: dict[str, Any]


def save(uri: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to a path or URI; raises ExternalError when it can't be, RankError when its store is silent."""
    meta = np.frombuffer(json.dumps(checkpoint.meta).encode(), np.uint8)
    named = {f"array_{index:05d}": array for index, array in enumerate(checkpoint.arrays)}
    buffer = io.BytesIO()
    np.savez(buffer, **{META: meta}, **named)
    try:
        write_bytes(uri, buffer.getvalue() + hashlib.sha256(buffer.getbuffer()).digest())
    except OSError as error:
        if is_of_store(error):
            raise _no_answer(uri, error) from error
        raise ExternalError(
            f"checkpoint {uri}: can't be written ({error}). The one before it is whole; make room, and run the job again: it "
            f"goes on from there."
        ) from error


def load(uri: str) -> Checkpoint:
    """Read a checkpoint; raises DataError, naming it, when it is missing or damaged, and RankError when its store is silent."""
    try:
        with np.load(io.BytesIO(_whole(read_bytes(uri))), allow_pickle=False) as archive:
            meta = json.loads(archive[META].tobytes())
            arrays = [archive[name] for name in sorted(archive.files) if name != META]
    except (OSError, ValueError, KeyError) as error:
        if is_of_store(error):
            raise _no_answer(uri, error) from error
        raise DataError(f"checkpoint {uri}: can't be read ({error}). Use an earlier one, or train again.") from error
    return Checkpoint(arrays, meta)


def _no_answer(uri: str, error: Exception) -> RankError:
    """What is tried again from the last checkpoint, since the store's files may be sound."""
    return RankError(f"checkpoint {uri}: the store did not answer ({error}). Once it does, run the same command again.")


def _whole(content: bytes) -> bytes:
    archive, digest = content[:-DIGEST], content[-DIGEST:]
    if hashlib.sha256(archive).digest() != digest:
        raise ValueError("it is not what was written: its SHA-256 is another")
    return archive


def newest(folder: str, damaged: Callable[[DataError], None]) -> tuple[str, Checkpoint] | None:
    """The last whole checkpoint of a folder and its URI; None when there is none. `damaged` hears of those passed over."""
    for uri in reversed(saved_in(folder)):
        try:
            return uri, load(uri)
        except DataError as error:
            damaged(error)
    return None


def saved_in(folder: str) -> list[str]:
    """The checkpoints of a folder, oldest first, whole or damaged."""
    return [uri for uri in list_files(folder) if uri.endswith(".npz")]


class Keeper:
    """Writes a run's checkpoints to a folder, one at a time on a thread of its own, and keeps the last two."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def keep(self, name: str, checkpoint: Checkpoint) -> None:
        """Begin to write a checkpoint once the one before is written; names sort by age. Raises what `save` raised."""
        self.wait()
        self._writing = self._pool.submit(self._write, f"{self._folder}/{name}.npz", checkpoint)

    def wait(self) -> None:
        """Until all is written; raises ExternalError when it could not be."""
        if self._writing:
            self._writing.result()
            self._writing = None

    def _write(self, uri: str, checkpoint: Checkpoint) -> None:
        save(uri, checkpoint)
        for old in saved_in(self._folder)[:-KEPT]:
            delete_file(old)
