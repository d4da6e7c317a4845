"""The environment variables of a rank, the same for every launcher."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.temporary import TemporaryFolder, homes_within


@dataclass(frozen=True)
class Assignment:
    """What every task needs to know; it travels with the task, by Spark's own channel. `proxies` are MPICH's arguments.

    `encrypted_interface` is the only network interface by which ranks talk, where it is named.
    """

    job: str
    stall_seconds: int
    channel: str = ""
    key: str = ""
    proxies: tuple[tuple[str, ...], ...] = ()
    encrypted_interface: str | None = None

    @property
    def horovod_stall_seconds(self) -> int:
        """When Horovod gives up by itself: later than the driver, who knows more."""
        return 2 * self.stall_seconds


@contextmanager
def rank_environment(
    assignment: Assignment, rank: int, local_rank: int, ranks_here: int, gpu: str | None = None
) -> Iterator[dict[str, str]]:
    """The environment of a rank, number `local_rank` (from 0) of `ranks_here` on its host. Its job lies in a
    folder until the end, beside what the rank, Keras, TensorFlow and its proxy write.
    """
    with TemporaryFolder("rank") as folder:
        job = folder / "job.json"
        job.write_text(assignment.job, encoding="utf-8")
        yield {
            **os.environ,
            **homes_within(folder),
            "TMPDIR": str(folder),
            "HOROVOD_STALL_CHECK_TIME_SECONDS": str(assignment.stall_seconds),
            "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(assignment.horovod_stall_seconds),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "RINGMILL_PYTHON": sys.executable,
            "RINGMILL_FOLDER": str(Path.cwd()),
            "RINGMILL_JOB": str(job),
            "RINGMILL_CHANNEL": assignment.channel,
            "RINGMILL_KEY": assignment.key,
            "RINGMILL_RANK": str(rank),
            "RINGMILL_LOCAL_RANK": str(local_rank),
            "RINGMILL_LOCAL_RANKS": str(ranks_here),
            "RINGMILL_ENCRYPTED_INTERFACE": assignment.encrypted_interface or "",
            **({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {}),
        }
