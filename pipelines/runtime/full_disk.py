"""A failure whose cause is a file system that takes no more: which one that is, and what to do."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.config import LakeConfig
from pipelines.errors import ExternalError, RingmillError, causes_of
from pipelines.io.filesystem import warehouse_uri

# Linux's words, which Java and Python pass on (strerror(3)).
WORDS = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system")
NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def full_disk(error: BaseException, lake: LakeConfig) -> ExternalError | None:
    """The error to raise in the place of one whose cause is a full or read-only file system; None for any other.

    An error of ringmill's own says enough already.
    """
    if isinstance(error, RingmillError):
        return None
    words = next((words_of_cause for cause in causes_of(error) if (words_of_cause := _words(cause))), None)
    if words is None:
        return None
    return ExternalError(
        f"a file could not be written: {words}. Expected space for tables in the warehouse and for temporary files: "
        f"{' and '.join(_free(lake))}. What was published before stands, and nothing of this step was. Free space, or set "
        f"lake.warehouse, TMPDIR or spark.local.dir to a larger disk; then run the same command again."
    )


def _words(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in NUMBERS:
        return str(error.strerror)
    # Errors of Java have the stack of every cause in their text.
    matched = WORDS.search(str(error))
    return matched[0] if matched else None


def _free(lake: LakeConfig) -> Iterator[str]:
    """What is free where this process writes; of an object store nothing is known."""
    folders = {"warehouse": Path(warehouse_uri(lake)), "temporary files": Path(tempfile.gettempdir())}
    for what, folder in folders.items():
        if folder.is_dir():
            yield f"{shutil.disk_usage(folder).free / 2**20:,.0f} MiB are free in {folder} ({what})"
