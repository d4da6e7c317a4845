"""Windows whose features were made of rows that have been cleaned anew since."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from pipelines.config import Interval
from pipelines.flows.context import Context
from pipelines.flows.coverage import Written, written
from pipelines.flows.runs import Run

MADE = "features"


def report_stale(context: Context, intervals: Iterable[Interval]) -> None:
    """Name on the console each window whose features do not know the newest cleaning of some of these intervals, with the job
    that makes them again.
    """
    cleaned = [one for interval in intervals for one in _cleaned(context, interval)]
    if not cleaned:
        return
    for window, run in context.runs.everywhere(MADE).items():
        if any(_is_stale(window, run, one) for one in cleaned):
            arguments = f"--config {context.config_path or 'conf/….yaml'} {context.arguments(window.start, window.end)}"
            context.console.print(
                f"    stale: the features of {context.shown(window.start, window.end)}, and what was made of them, are older "
                f"than these rows: jobs/{MADE}.py {arguments}",
                style="yellow",
                soft_wrap=True,
            )


def _cleaned(context: Context, interval: Interval) -> list[Written]:
    bounds = {"interval_from": interval.start.astimezone(UTC), "interval_to": interval.end.astimezone(UTC)}
    return written(context, "clean", bounds)


def _is_stale(window: Interval, run: Run, cleaned: Written) -> bool:
    if (known := run.inputs.get(cleaned.key)) is not None:
        return known != cleaned.run_id
    shares_time = window.start < cleaned.end and cleaned.start < window.end
    return shares_time and cleaned.run_id not in run.inputs.values()
