"""The section `maintain`: how long what is no longer needed is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.model import Model

MOST_DAYS = 36_600  # a hundred years
Days = Annotated[float, Field(ge=0, le=MOST_DAYS)]


class MaintainConfig(Model):
    """How long what is no longer needed is kept, and how large files should be."""

    snapshot_days: Days = 7
    """Days for which a table's snapshots are kept. Those that a branch or a tag heads stay for good."""
    orphan_days: Annotated[float, Field(gt=1, le=MOST_DAYS)] = 3
    """Age in days from which files go that no snapshot knows. Iceberg refuses an age of a day or less."""
    audit_days: Annotated[float, Field(gt=0, le=MOST_DAYS)] = 1
    """Age in days from which audit branches, examples and half-written files of killed runs go. Longer than any run takes."""
    raw_days: Days | None = None
    """Days after their interval's end for which raw rows are kept. Without it they are kept for good."""
    target_file_mb: Annotated[int, Field(ge=1)] = 128
    """Size in MiB to which small files are brought together."""
