"""What clean holds the rows of an interval against, of one interval or of many."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pipelines.cleaning.expectations import BrokenRule
from pipelines.errors import DataError
from pipelines.runtime.context import Context

LOG = logging.getLogger(__name__)


def may_be_empty(context: Context) -> set[str]:
    """The sources of which an interval may have no row."""
    return {name for name, source in context.sources.items() if source.sliced}


def report_warnings(broken: Iterable[BrokenRule]) -> None:
    """Log the broken promises that refuse no row, as warnings."""
    for each in broken:
        if each.severity == "warn":
            LOG.warning(f"    clean: {each.source}: {each.rows:,} rows, {each.example}")


def check_landed(name: str, rows: int, landed: int) -> None:
    """Raise DataError when there are not as many raw rows of an interval as ingest landed."""
    if rows != landed:
        raise DataError(
            f"clean: raw_{name} has {rows:,} rows of the interval, ingest landed {landed:,}. They may have expired "
            f"(maintain.raw_days). Run jobs/ingest.py with --force over the same interval first. No table was changed."
        )
