"""Failures of what is outside of ringmill, by whatever library reports them: one line that says what to do.

The exit code is 5. It is 2 where a jar is missing, since a retry does not help.
"""

from __future__ import annotations

from pipelines.config import LakeConfig
from pipelines.errors import RingmillError
from pipelines.io.missing_clients import missing_client_of_job
from pipelines.runtime.full_disk import full_disk
from pipelines.runtime.unreachable import unreachable


def outside_failure(error: BaseException, lake: LakeConfig) -> RingmillError | None:
    """The error to raise in the place of one whose cause is a full or read-only disk, a server that does not answer, a lost
    executor, a wrong clock, or a jar that is missing; None for any other.
    """
    return full_disk(error, lake) or unreachable(error, lake) or missing_client_of_job(error, lake)
