"""Failures of what is outside of ringmill, by whatever library reports them: exit code 5, and one line that says what to do."""

from __future__ import annotations

from pipelines.config import LakeConfig
from pipelines.errors import ExternalError
from pipelines.runtime.full_disk import full_disk
from pipelines.runtime.unreachable import unreachable


def outside_failure(error: BaseException, lake: LakeConfig) -> ExternalError | None:
    """The error to raise in the place of one whose cause is a full or read-only disk, a server that does not answer, a lost
    executor or a wrong clock; None for any other.
    """
    return full_disk(error, lake) or unreachable(error, lake)
