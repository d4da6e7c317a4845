"""Land many intervals in one pass over the sources, each as its own interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from pyspark.sql import Observation
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account, check_accounts
from pipelines.config import Interval
from pipelines.io.audit import Audit
from pipelines.runtime.batches import Batch
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import overlapping, replaced_intervals, smaller_than
from pipelines.runtime.promises import check_promises
from pipelines.runtime.step import Bulk, Outcome
from pipelines.steps.landing import (
    cached_pages,
    check_landed,
    counted_where_read,
    failures_explained,
    report_absent,
    rows_to_land,
)
from schemas import tables

STEP = "ingest"


def is_possible(context: Context) -> bool:
    """Whether all sources give the rows of many intervals at once."""
    return all(source.reads_many for source in context.sources.values())


def inputs(context: Context, intervals: Sequence[Interval]) -> dict[Interval, dict[str, str]]:
    """By interval, what `ingest.inputs` gives; raises what it does."""
    known = {step: overlapping(context, step, *context.bounds) for step in (STEP, "clean")}
    for interval in intervals:
        for step, written in known.items():
            replaced_intervals(context.over(interval), step, written)
    versions: dict[str, dict[Interval, str]] = {}
    for name, source in context.sources.items():
        version = partial(source.version, context.spark, context.config.contract(name))
        # A source that is not cut by intervals is the same for all of them.
        whole = None if source.sliced else version(intervals[0])
        versions[name] = {interval: version(interval) if whole is None else whole for interval in intervals}
    return {interval: {name: of[interval] for name, of in versions.items()} for interval in intervals}


def work(batch: Batch) -> dict[Interval, Outcome]:
    """Land the intervals' rows of all sources, or none; raises what `ingest.work` does, for whichever interval it is."""
    context = batch.context
    check_promises(context)
    with cached_pages(context, batch.intervals), batch.audit(STEP) as audit:
        landed = context.each(partial(_land, batch, audit))
        accounts = {
            interval: tuple(Account(STEP, name, rows.get(bounds, 0), rows.get(bounds, 0)) for name, rows in landed.items())
            for interval, bounds in zip(batch.intervals, batch.bounds, strict=True)
        }
        batch.write_ledger(audit, STEP, accounts, replaced_by_each(batch, STEP))
        published = audit.publish()
        return {interval: Outcome(of, published) for interval, of in accounts.items()}


def replaced_by_each(batch: Batch, step: str) -> dict[Interval, list[str]]:
    """By interval, the smaller ones whose rows it replaces, as row_ledger names them."""
    context = batch.context
    known = overlapping(context, step, *context.bounds)
    owners = {interval: context.over(interval) for interval in batch.intervals}
    return {
        interval: [each.bounds for each in smaller_than(owner, replaced_intervals(owner, step, known))]
        for interval, owner in owners.items()
    }


def _land(batch: Batch, audit: Audit, name: str) -> Mapping[tuple[datetime, datetime], int]:
    """Write a source's rows; how many landed of each interval."""
    context = batch.context
    source, contract = context.sources[name], context.config.contract(name)
    for interval in batch.intervals if source.sliced else ():
        report_absent(context, name, interval)
    read = Observation()
    rows = source.read_many(context.spark, contract, batch.intervals).observe(read, *counted_where_read())
    prepared = rows_to_land(rows, contract, F.col("interval_from")).withColumn("run_id", F.lit(context.run_id))
    table = tables.raw(contract)
    with failures_explained(source, contract):
        landed = audit.write(table, prepared, batch.replaced)
    check_landed(source, contract, read, landed)
    check_accounts([Account(STEP, name, rows_in=int(read.get["rows"]), rows_out=landed)])
    return audit.rows_by_interval(table)


BULK = Bulk(is_possible, inputs, work)
