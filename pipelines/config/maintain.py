"""The section `maintain`: how long what is no longer needed is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.model import Model

MOST_DAYS = 36_600  # a hundred years
Days = Annotated[float, Field(ge=0, le=MOST_DAYS)]


class MaintainConfig(Model):
    """Days until old snapshots, files that no snapshot knows, audit branches of killed runs and raw rows go, and the size in
    MiB to which small files are brought.

    Iceberg takes no file younger than a day for an orphan. `audit_days` must be longer than any run takes. Raw rows count
    from their interval's end; None keeps them.
    """

    snapshot_days: Days = 7
    orphan_days: Annotated[float, Field(gt=1, le=MOST_DAYS)] = 3
    audit_days: Annotated[float, Field(gt=0, le=MOST_DAYS)] = 1
    raw_days: Days | None = None
    target_file_mb: Annotated[int, Field(ge=1)] = 128
