"""The section `status`: how old tables and their events may be before `jobs/status.py` calls them stale."""

from __future__ import annotations

from pipelines.config.ages import Age
from pipelines.model import Model


class StatusConfig(Model):
    """How old tables and their events may be before they are stale. Without an age a table never is."""

    max_age: Age | None = None
    """How long ago each source's raw and clean table may have been written. `--max-age` goes before it."""
    max_event_age: Age | None = None
    """How long ago the newest event of the clean table of `features.rows_of` may have been."""
    tables: dict[str, Age] = {}
    """Tables by name, each with an age of its own, such as `scores: 26h`."""
