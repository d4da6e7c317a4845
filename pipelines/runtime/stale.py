"""Windows whose features, drift or scores were made of rows that have been cleaned anew since."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pipelines.config import Interval
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import WrittenInterval, overlapping
from pipelines.runtime.runs import Run

LOG = logging.getLogger(__name__)

DEPENDANTS = {"features": "features", "drift": "drift", "predict": "scores"}
"""What jobs make of windows, by the job."""


def report_stale(context: Context, intervals: Iterable[Interval]) -> None:
    """Log each window of which something was made that does not know the newest cleaning of some of these
    intervals, with the job that makes it again.
    """
    wanted = {(interval.start, interval.end) for interval in intervals}
    first, last = min(start for start, _ in wanted), max(end for _, end in wanted)
    cleaned = [each for each in overlapping(context, "clean", first, last) if (each.start, each.end) in wanted]
    if not cleaned:
        return
    for job, product in DEPENDANTS.items():
        for window, run in context.runs.everywhere(job).items():
            if any(_is_stale(window, run, one) for one in cleaned):
                arguments = f"--config {context.config_path or 'conf/….yaml'} {context.arguments(window.start, window.end)}"
                LOG.warning(
                    f"    stale: the {product} of {context.shown(window.start, window.end)}, and what was made of them, are "
                    f"older than these rows: jobs/{job}.py {arguments}"
                )


def _is_stale(window: Interval, run: Run, cleaned: WrittenInterval) -> bool:
    if (known := run.inputs.get(cleaned.key)) is not None:
        return known != cleaned.run_id
    shares_time = window.start < cleaned.end and cleaned.start < window.end
    return shares_time and cleaned.run_id not in run.inputs.values()
