"""Folders for temporary files, each of which somebody removes even when the process that made it is killed.

In a Python worker of Spark a folder lies in the executor's own. Spark removes that with the executor or, where somebody killed
the executor too, with the application. In any other process a folder lies where such files go, under a lock that the kernel
releases when the process is gone: whoever makes the next one there removes it, or the next run (conf/spark/run-folder.sh).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

LOCKED, UNLOCKED = "ringmill-tmp-", "ringmill-new-"
EXECUTOR_FOLDERS = "SPARK_LOCAL_DIRS"  # which Spark sets for its Python workers; elsewhere somebody may have set it otherwise
BLOCKS = "blockmgr-"  # how Spark names the folder of an executor's blocks


class TemporaryFolder:
    """A folder of a kind, such as `model`; `path` exists until the object is closed or collected, or the process ends."""

    def __init__(self, kind: str) -> None:
        parent = executor_folder() or Path(tempfile.gettempdir())
        remove_abandoned(parent)
        new = Path(tempfile.mkdtemp(prefix=UNLOCKED, dir=parent))
        lock = os.open(new, os.O_RDONLY)
        with suppress(OSError):  # a network's file system may lock no folders; then nobody else removes this one
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Under this name others look for it, locked by now.
        self.path = new.rename(parent / f"{LOCKED}{kind}-{new.name.removeprefix(UNLOCKED)}")
        self._remove = weakref.finalize(self, _remove, self.path, lock)

    def close(self) -> None:
        """Remove the folder and all that is in it; a second call does nothing."""
        self._remove()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def executor_folder() -> Path | None:
    """The folder of the executor whose Python worker this process, or the one that started it, is; else None."""
    folders = (Path(folder) for folder in os.environ.get(EXECUTOR_FOLDERS, "").split(","))
    return next((folder for folder in folders if folder.name.startswith(BLOCKS) and folder.is_dir()), None)


def homes_within(folder: Path) -> dict[str, str]:
    """Environment variables that have Keras and Matplotlib write within a folder: where a home directory has none of their own
    folders, and no variable names another, they would make them there, and leave them.
    """
    homes = {"KERAS_HOME": ".keras", "MPLCONFIGDIR": ".config/matplotlib"}
    missing = [name for name, path in homes.items() if not (Path.home() / path).exists()]
    return {name: os.environ.get(name) or str(folder / name.lower()) for name in missing}


def remove_abandoned(parent: Path) -> None:
    """Remove the folders in `parent` whose processes are gone."""
    for folder in parent.glob(f"{LOCKED}*"):
        with suppress(OSError):  # it is of a process that runs, or somebody else's, or gone just now
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
