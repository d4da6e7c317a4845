"""Checkpoints: arrays and a little JSON in one NumPy archive, written whole or not at all. Never a pickle."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.errors import DataError
from pipelines.storage import read_bytes, write_bytes

META = "meta.json"


class Checkpoint(NamedTuple):
    """Arrays in the order in which they were saved, and what was noted beside them."""

    arrays: list[npt.NDArray[Any]]
    meta: dict[str, Any]


def save(uri: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to a path or URI."""
    meta = np.frombuffer(json.dumps(checkpoint.meta).encode(), np.uint8)
    named = {f"array_{index:05d}": array for index, array in enumerate(checkpoint.arrays)}
    buffer = io.BytesIO()
    np.savez(buffer, **{META: meta}, **named)
    write_bytes(uri, buffer.getvalue())


def load(uri: str) -> Checkpoint:
    """Read a checkpoint; raises DataError, naming it, when it is missing or damaged."""
    try:
        with np.load(io.BytesIO(read_bytes(uri)), allow_pickle=False) as archive:
            meta = json.loads(archive[META].tobytes())
            arrays = [archive[name] for name in sorted(archive.files) if name != META]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"checkpoint {uri}: can't be read ({error}). Use an earlier one, or train again.") from error
    return Checkpoint(arrays, meta)
