"""Steps over many intervals: one pass does those that are not done yet, and each is written as its own interval.

What a job costs whatever its rows are, such as plans and commits, comes once a batch and not once an interval.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from pipelines.config import Interval
from pipelines.errors import ConfigError, ConflictError, RingmillError
from pipelines.interruption import PROCESS
from pipelines.runtime.batches import Batch, bounds_of_interval
from pipelines.runtime.code import code_version
from pipelines.runtime.context import Context
from pipelines.runtime.execute import CONFIG_ALWAYS, execute, fingerprint_of
from pipelines.runtime.lineage import prepare_events
from pipelines.runtime.log_handler import DIM
from pipelines.runtime.runs import Run
from pipelines.runtime.step import BulkStep, Outcome, Step
from pipelines.runtime.step_progress import StepProgress

LOG = logging.getLogger(__name__)

FEWEST = 8  # intervals: fewer are done in turn, and the first failure among them ends the run with what came before
MOST = 500  # of a batch


class Planned(NamedTuple):
    """An interval's work that is to be done: its inputs, and the fingerprint by which it is known afterwards."""

    inputs: dict[str, str]
    fingerprint: str


def bulk_steps(steps: Sequence[Step], context: Context, intervals: Sequence[Interval]) -> list[BulkStep]:
    """The steps, where each of them can do these intervals in one pass; none where one can't."""
    bounds = [bound for interval in intervals for bound in (interval.start, interval.end)]
    if len(intervals) < FEWEST or any(bound.microsecond for bound in bounds):
        return []
    able = [step for step in steps if isinstance(step, BulkStep) and step.bulk.is_possible(context)]
    return able if len(able) == len(steps) else []


def execute_many(step: BulkStep, context: Context, intervals: Sequence[Interval], *, force: bool) -> None:
    """Do a step's work for each of the intervals for which it was not done last, in batches.

    A failure is recorded in `runs` for the interval that it is of, and raised; the intervals before that one are done.
    """
    whole = spanning(context, intervals)
    planned = _planned(step, whole, intervals, force=force)
    if done := len(intervals) - len(planned):
        LOG.info(f"{step.name:>9}: nothing to do for {done:,} of {len(intervals):,} intervals", extra=DIM)
    for batch in _batches(step, whole, planned):
        _execute_batch(step, whole, batch, force=force)


def spanning(context: Context, intervals: Sequence[Interval]) -> Context:
    """The context over the whole span of intervals that are in order of time."""
    return context.over(Interval(start=intervals[0].start, end=intervals[-1].end))


def _planned(step: BulkStep, whole: Context, intervals: Sequence[Interval], *, force: bool) -> dict[Interval, Planned]:
    """The intervals whose work is not done; raises what the step's inputs raise."""
    config_hash = whole.config.digest(*CONFIG_ALWAYS, *step.sections)
    planned = {
        interval: Planned(inputs, fingerprint_of(step, whole.over(interval), config_hash, inputs))
        for interval, inputs in step.bulk.inputs(whole, intervals).items()
    }
    if force:
        return planned
    latest = whole.runs.within(step.name)
    runs = {interval: latest.get(bounds_of_interval(interval)) for interval in intervals}
    same = {interval: run for interval, run in runs.items() if run and run.fingerprint == planned[interval].fingerprint}
    current = _current(step, whole, same)
    return {interval: each for interval, each in planned.items() if interval not in current}


def _current(step: Step, whole: Context, runs: Mapping[Interval, Run]) -> set[Interval]:
    """The intervals to whose tables no other run has published since."""
    scopes = {interval: whole.over(interval).scope(step.name) for interval in runs}
    tables = {table for run in runs.values() for table in run.outputs}
    publishers = {table: whole.lake.publishers(table, list(scopes.values())) for table in tables}
    return {
        interval
        for interval, run in runs.items()
        if all(publishers[table].get(scopes[interval], run.run_id) == run.run_id for table in run.outputs)
    }


def _batches(step: BulkStep, whole: Context, planned: Mapping[Interval, Planned]) -> Iterator[dict[Interval, Planned]]:
    """The planned work in batches of a bounded number of intervals and, where they have to be held, of rows."""
    sizes = step.bulk.sizes(whole, list(planned)) if step.bulk.sizes and planned else dict.fromkeys(planned, 0)
    batch: dict[Interval, Planned] = {}
    rows = 0
    for interval, each in planned.items():
        if batch and (len(batch) == MOST or rows + sizes[interval] > step.bulk.most_rows):
            yield batch
            batch, rows = {}, 0
        batch[interval] = each
        rows += sizes[interval]
    if batch:
        yield batch


def _execute_batch(step: BulkStep, whole: Context, planned: Mapping[Interval, Planned], *, force: bool) -> None:
    """Do a batch's work; where it fails, that of its halves, so that what is right of it is done and the failure is one
    interval's.
    """
    intervals = tuple(planned)
    if len(intervals) == 1:
        execute(step, whole.over(intervals[0]), force=force)
        return
    try:
        _do(step, Batch(spanning(whole, intervals), intervals), planned)
    except ConfigError:
        raise
    except (RingmillError, PySparkException, Py4JJavaError) as error:
        if PROCESS.cause(error):
            raise
        _execute_halves(step, whole, planned, force=force)


def _execute_halves(step: BulkStep, whole: Context, planned: Mapping[Interval, Planned], *, force: bool) -> None:
    items, half = iter(planned.items()), len(planned) // 2
    overtaken: ConflictError | None = None
    for part in (dict(islice(items, half)), dict(items)):
        try:
            _execute_batch(step, whole, part, force=force)
        except ConflictError as error:  # another run has that interval; the others are this run's to end
            overtaken = overtaken or error
    if overtaken:
        raise overtaken


def _do(step: BulkStep, batch: Batch, planned: Mapping[Interval, Planned]) -> None:
    context, started, clock = batch.context, datetime.now(UTC), time.monotonic()
    events = prepare_events(step, context, {}, started)
    context.spark.sparkContext.setJobDescription(f"ringmill: {step.name} of {len(batch.intervals):,} intervals")
    with StepProgress(context.console, context.spark, step.name, context.activity):
        outcomes = step.bulk.work(batch)
    seconds = time.monotonic() - clock
    runs = {
        interval: Run(
            run_id=context.run_id,
            pipeline=context.config.pipeline,
            job=step.name,
            status="succeeded",
            fingerprint=planned[interval].fingerprint,
            config_hash=context.config.digest(*CONFIG_ALWAYS, *step.sections),
            code_version=code_version(),
            started_at=started,
            seconds=seconds,
            inputs=planned[interval].inputs,
            outputs=outcome.outputs,
        )
        for interval, outcome in outcomes.items()
    }
    with PROCESS.shielded():
        context.runs.add_all(runs)
    # Only now: of a batch that fails the halves have events of their own.
    events.outputs = {table: snapshot for outcome in outcomes.values() for table, snapshot in outcome.outputs.items()}
    events.start()
    events.end()
    _report(step, batch, outcomes, seconds)


def _report(step: Step, batch: Batch, outcomes: Mapping[Interval, Outcome], seconds: float) -> None:
    names = list(batch.context.sources)
    of_source = zip(*(outcome.accounts for outcome in outcomes.values()), strict=True)
    rows = ", ".join(f"{name} {sum(a.rows_out for a in of):,}" for name, of in zip(names, of_source, strict=True))
    text = f"{step.name:>9}: {seconds:5.1f} s  {len(batch.intervals):,} intervals, {rows}"
    LOG.info(text)
