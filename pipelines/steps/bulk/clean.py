"""Validate the landed rows of many intervals in one pass, and write each as its own interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account, check_accounts, check_quarantine
from pipelines.cleaning.duplicates import CLEAN, DUPLICATE, FILTERED, QUARANTINED, REPEATED, VERDICT
from pipelines.cleaning.expectations import BrokenRule, check_failures
from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.rows import clean_rows, split_validated, validate_rows, verdicts
from pipelines.cleaning.source_lines import line_numbers, with_lines
from pipelines.config import Interval
from pipelines.expressions import union_of
from pipelines.io.audit import Audit
from pipelines.runtime.batches import APART, Batch, Bounds, bounds_of, bounds_of_interval, micros_of_bounds
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import WrittenInterval, landing_run, overlapping, replaced_intervals
from pipelines.runtime.landed import LATE, landing_name, may_come_late, raw_rows
from pipelines.runtime.promises import check_promises, rules_explained
from pipelines.runtime.secret import hash_key_of
from pipelines.runtime.step import Bulk, Outcome
from pipelines.steps.bulk.expectations import broken_of
from pipelines.steps.bulk.ingest import replaced_by_each
from pipelines.steps.clean_checks import check_landed, may_be_empty, report_warnings
from schemas import tables
from schemas.contract import Table

STEP = "clean"
ROWS = 2_000_000  # of a batch: so many are held in memory, or on disk, while they are validated


class ValidatedSource(NamedTuple):
    """A source's validated rows, what validating them took, and by interval its account and the promises that are broken."""

    rows: DataFrame
    inputs: CleaningInputs
    accounts: dict[Bounds, Account]
    broken: dict[Bounds, list[BrokenRule]]


def is_possible(context: Context) -> bool:
    """Whether no contract has outliers, whose fences are fitted on one interval's values."""
    contracts = (context.config.contract(name) for name in context.sources)
    return not any(column.outliers for contract in contracts for column in contract.columns)


def inputs(context: Context, intervals: Sequence[Interval]) -> dict[Interval, dict[str, str]]:
    """By interval, what `clean.inputs` gives; raises what it does."""
    landed, cleaned = (overlapping(context, step, *context.bounds) for step in ("ingest", STEP))
    of = {interval: context.over(interval) for interval in intervals}
    for each in of.values():
        replaced_intervals(each, STEP, cleaned)
    batch = Batch(context, tuple(intervals))
    late = {name: _late_runs(batch, name) for name in context.sources if may_come_late(context, name)}
    return {
        interval: {"ingest": landing_run(each, landed)}
        | {f"{LATE} {name}": runs[bounds] for name, runs in late.items() if bounds in runs}
        for (interval, each), bounds in zip(of.items(), batch.bounds, strict=True)
    }


def sizes(context: Context, intervals: Sequence[Interval]) -> dict[Interval, int]:
    """How many rows of all sources landed with each interval."""
    landed = {(each.start, each.end): each for each in overlapping(context, "ingest", *context.bounds)}
    none = WrittenInterval(*context.bounds, "", {})
    return {each: sum(landed.get(bounds_of_interval(each), none).rows.values()) for each in intervals}


def work(batch: Batch) -> dict[Interval, Outcome]:
    """Write the clean tables, quarantine, broken rules and ledger of the intervals, or of none; raises what `clean.work` does,
    for whichever interval it is.
    """
    context = batch.context
    check_promises(context)
    with rules_explained(context), ExitStack() as cached, batch.audit(STEP) as audit:
        _check_landed(batch)
        validated = _validated(batch, audit, cached)
        accounts = {
            interval: tuple(of.accounts[bounds] for of in validated.values())
            for interval, bounds in zip(batch.intervals, batch.bounds, strict=True)
        }
        broken = {bounds: [each for of in validated.values() for each in of.broken[bounds]] for bounds in batch.bounds}
        for interval, bounds in zip(batch.intervals, batch.bounds, strict=True):
            check_accounts(accounts[interval])
            check_failures(broken[bounds])
            check_quarantine(accounts[interval], context.config.clean.max_quarantined_share, may_be_empty(context))
        report_warnings([each for of in broken.values() for each in of])
        context.at_once(
            partial(_write_quarantine, batch, audit, validated),
            partial(_write_broken, batch, audit, broken),
            partial(batch.write_ledger, audit, STEP, accounts, replaced_by_each(batch, STEP)),
        )
        published = audit.publish()
        return {interval: Outcome(of, published) for interval, of in accounts.items()}


def _of_batch(batch: Batch, name: str) -> DataFrame:
    """The rows that landed with an interval of the batch, with its bounds in UTC."""
    return raw_rows(batch.context, name).where(batch.replaced).join(F.broadcast(batch.frame()), list(APART), "left_semi")


def _late(batch: Batch, name: str, *more: Column) -> DataFrame:
    """The rows that belong to an interval of the batch and landed with another, with the bounds of the one that they are of."""
    start, end = batch.context.bounds
    raw = raw_rows(batch.context, name).where((F.col("event_at") >= F.lit(start)) & (F.col("event_at") < F.lit(end)))
    late = raw.where((F.col("event_at") < F.col("interval_from")) | (F.col("event_at") >= F.col("interval_to")))
    return batch.of_time(late.select("*", *more), F.col("event_at"))


def _late_runs(batch: Batch, name: str) -> dict[Bounds, str]:
    rows = _late(batch, name, landing_name().alias("landing")).groupBy(*APART)
    runs = rows.agg(F.sort_array(F.collect_set("landing")).alias("runs"))
    return {bounds_of(row): ", ".join(row["runs"]) for row in runs.select(*micros_of_bounds(), "runs").collect()}


def _counts(rows: DataFrame) -> dict[Bounds, int]:
    counted = rows.groupBy(*APART).agg(F.count("*").alias("rows"))
    return {bounds_of(row): row["rows"] for row in counted.select(*micros_of_bounds(), "rows").collect()}


def _check_landed(batch: Batch) -> None:
    """Raise DataError when an interval's raw rows are not those that ingest counted."""
    known = overlapping(batch.context, "ingest", *batch.context.bounds)
    landed = {(each.start, each.end): each.rows for each in known}
    counts = batch.context.each(lambda name: _counts(_of_batch(batch, name)))
    for name, rows in counts.items():
        for bounds in batch.bounds:
            rows_landed = rows.get(bounds, 0)
            check_landed(name, rows_landed, landed[bounds].get(name, rows_landed))


def _validated(batch: Batch, audit: Audit, cached: ExitStack) -> dict[str, ValidatedSource]:
    """Every source's rows validated and staged; those that are referred to come first."""
    context = batch.context
    contracts = {name: context.config.contract(name) for name in context.sources}
    order = TopologicalSorter({name: {to.source for to in contract.references} for name, contract in contracts.items()})
    order.prepare()
    done: dict[str, ValidatedSource] = {}
    while ready := order.get_ready():
        of = context.at_once(*(partial(_validate, batch, audit, contracts[name], done, cached) for name in ready))
        done |= zip(ready, of, strict=True)
        order.done(*ready)
    return {name: done[name] for name in contracts}


def _validate(
    batch: Batch, audit: Audit, contract: Table, done: Mapping[str, ValidatedSource], cached: ExitStack
) -> ValidatedSource:
    context, name = batch.context, contract.name
    raw = _of_batch(batch, name)
    if may_come_late(context, name):
        raw = raw.unionByName(_late(batch, name))
    known = {to.source: done[to.source].rows.where(F.col(VERDICT) == CLEAN) for to in contract.references}
    extras = context.sources[name].drift == "add"
    inputs = CleaningInputs(known, key=hash_key_of(context, contract), extras=extras, interval_columns=APART)
    rows = validate_rows(raw, contract, F.col(APART[0]), F.col(APART[1]), inputs).persist()
    cached.callback(rows.unpersist)
    table = tables.clean(contract)
    audit.write(table, clean_rows(rows, contract, inputs).withColumn("run_id", F.lit(context.run_id)), batch.replaced)
    accounts, newest = _accounts(contract, rows, _counts(raw), audit.rows_by_interval(table), batch.bounds)
    return ValidatedSource(rows, inputs, accounts, broken_of(batch, contract, rows, accounts, newest))


def _accounts(
    contract: Table, rows: DataFrame, came: Mapping[Bounds, int], written: Mapping[Bounds, int], bounds: Sequence[Bounds]
) -> tuple[dict[Bounds, Account], dict[Bounds, datetime]]:
    """By interval, the account of its rows, and the newest event time of its clean ones."""
    counted = rows.groupBy(*APART).agg(*verdicts(contract)).withColumn("newest", F.unix_micros("newest"))
    by_interval: dict[Bounds, dict[str, Any]] = defaultdict(dict)
    for row in counted.select(*micros_of_bounds(), *(name for name in counted.columns if name not in APART)).collect():
        by_interval[bounds_of(row)] = row.asDict()
    moments = {each: of["newest"] for each, of in by_interval.items() if of["newest"] is not None}
    newest = {each: datetime.fromtimestamp(micros / 1_000_000, UTC) for each, micros in moments.items()}
    return {each: _account(contract, by_interval[each], came.get(each, 0), written.get(each, 0)) for each in bounds}, newest


def _account(contract: Table, counts: Mapping[str, Any], rows_in: int, rows_out: int) -> Account:
    repeated = counts.get(REPEATED, 0)
    return Account(
        STEP,
        contract.name,
        rows_in,
        rows_out,
        counts.get(QUARANTINED, 0),
        counts.get(DUPLICATE, 0) + repeated,
        counts.get(FILTERED, 0),
        repeated=repeated,
        example=counts.get("example") or "",
    )


def _write_quarantine(batch: Batch, audit: Audit, validated: Mapping[str, ValidatedSource]) -> None:
    """Write the refused rows, in the place of these sources' former ones; raises AccountingError on a leak."""
    context = batch.context
    refused = {name: sum(account.quarantined for account in of.accounts.values()) for name, of in validated.items()}
    parts = [_refused(context, name, of) for name, of in validated.items() if refused[name]]
    if parts:
        rows = union_of(parts).withColumn("run_id", F.lit(context.run_id))
        written = audit.write(tables.QUARANTINE, rows, batch.replaced & F.col("source").isin(*validated))
    else:
        written = audit.write_rows(tables.QUARANTINE, [], {**batch.whose_replaced, "source": tuple(validated)})
    check_accounts([Account("quarantine", "all sources", sum(refused.values()), written)])


def _refused(context: Context, name: str, of: ValidatedSource) -> DataFrame:
    contract = context.config.contract(name)
    # A source that is not cut by intervals landed the same files with each of them.
    apart = () if context.sources[name].sliced else APART
    numbers = line_numbers(raw_rows(context, name), apart)
    rows = split_validated(of.rows, contract, of.inputs).quarantined
    return with_lines(rows, numbers, apart).withColumn("source", F.lit(name))


def _write_broken(batch: Batch, audit: Audit, broken: Mapping[Bounds, Sequence[BrokenRule]]) -> None:
    rows: list[dict[str, object]] = [
        {"run_id": batch.context.run_id, "interval_from": start, "interval_to": end, **each._asdict()}
        for (start, end), of in broken.items()
        for each in of
    ]
    audit.write_rows(tables.BROKEN_RULES, rows, batch.whose_replaced)


BULK = Bulk(is_possible, inputs, work, sizes, ROWS)
