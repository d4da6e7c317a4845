"""Judge every landed row of the interval: clean, quarantined, duplicate or filtered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from graphlib import TopologicalSorter
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.expressions import union_of
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.coverage import landing_run, replaced_intervals, report_replaced
from pipelines.flows.landed import landed, landed_with, late_runs, may_come_late
from pipelines.flows.promises import check_promises, rules_explained
from pipelines.flows.secret import hash_key_of
from pipelines.io.audit import Audit
from pipelines.io.driver_rows import Bound
from pipelines.stages.accounting import Account, check_accounts, check_quarantine
from pipelines.stages.cleaning import (
    BROKEN,
    CleaningInputs,
    clean_rows,
    count_broken,
    shared_keys,
    split_validated,
    validate_rows,
    verdicts,
)
from pipelines.stages.duplicates import CLEAN, DUPLICATE, FILTERED, QUARANTINED, REPEATED, VERDICT
from pipelines.stages.expectations import BrokenRule, check_failures, check_freshness, check_volume, merge_broken
from pipelines.stages.outliers import fit_fences
from pipelines.stages.source_lines import line_numbers, with_lines
from pipelines.stages.two_pass import ROW_BUCKET, FirstPassResult, TwoPassValidator
from schemas import lake
from schemas.contract import Table

BROADCAST_ROWS = 1_000_000
SHARED_KEYS = 1_000_000  # of so many hashes each task can hold a copy
SMALL_ROWS = 200_000  # with fewer, looking for shared keys first costs more than it saves
SMALL_VALUES = 4_000_000  # of so many, one task judges all rows faster than several that have to move them


@dataclass(frozen=True)
class Case:
    """One source before the judge: its contract, its landed rows and their number, and what judging takes. The rows judged,
    kept from when they are first read; or, where they are too many to keep, the keys that several of them share.
    """

    contract: Table
    raw: DataFrame
    rows: int
    aids: CleaningInputs
    judged: DataFrame | None
    keys: DataFrame | None = None


class Result(NamedTuple):
    """One source's account, the promises that were broken, and its judged rows: all of them, or all that were not clean at
    one look.
    """

    account: Account
    broken: list[BrokenRule]
    judged: DataFrame


def inputs(context: Context) -> dict[str, str]:
    """The run that landed the interval's rows, and those that landed late ones; raises DataError when none did the first, and
    ConfigError when the interval cuts through one that is cleaned.
    """
    replaced_intervals(context, "clean")
    return {"ingest": landing_run(context), **late_runs(context)}


def work(context: Context) -> Outcome:
    """Write the sources' clean tables, the quarantine and the broken rules, once their accounts close.

    Raises DataError when too many rows of a source are quarantined, none is left or a rule that must hold is broken,
    AccountingError when rows are lost, and ConfigError when Spark can't read a rule.
    """
    check_promises(context)
    with rules_explained(context), ExitStack() as kept, context.audit("clean") as audit:
        cases = _open_cases(context, kept)
        _check_landed(context, cases)
        results = context.each(lambda name: _write_clean(context, audit, cases[name], kept))
        accounts = tuple(result.account for result in results.values())
        broken = [found for result in results.values() for found in result.broken]
        check_accounts(accounts)
        check_failures(broken)
        check_quarantine(accounts, context.config.clean.max_quarantined_share, may_be_empty(context))
        replaced = report_replaced(context, "clean", replaced_intervals(context, "clean"))
        context.at_once(
            lambda: _write_quarantine(context, audit, cases, results),
            lambda: _write_broken(context, audit, broken),
            lambda: context.stage_ledger(audit, "clean", accounts, replaced),
        )
        return Outcome(accounts, audit.publish())


def _open_cases(context: Context, kept: ExitStack) -> dict[str, Case]:
    """Every source's rows, ready to be judged; those that are referred to come first."""
    contracts = {name: context.config.contract(name) for name in context.config.sources}
    wanted = {name: {reference.source for reference in contract.references} for name, contract in contracts.items()}
    referred = set().union(*wanted.values())
    cases = context.each(lambda name: _opened(context, contracts[name], may_be_large=name not in referred))
    order = TopologicalSorter(wanted)
    order.prepare()
    while ready := order.get_ready():
        judged = context.at_once(*(partial(_ready_to_judge, context, cases[name], cases, kept) for name in ready))
        cases |= zip(ready, judged, strict=True)
        order.done(*ready)
    return cases


def _opened(context: Context, contract: Table, *, may_be_large: bool) -> Case:
    """A source's rows, counted, and what judging takes but for the rows that they refer to."""
    # Counted from the landed table's own metadata, not from the frame whose leaks the account is to show.
    rows = landed(context, contract.name).count()
    raw = landed(context, contract.name, rows)
    extras = context.sources[contract.name].drift == "add"
    aids = CleaningInputs(fences=fit_fences(raw, contract), key=hash_key_of(context, contract), extras=extras)
    case = Case(contract, raw, rows, aids, None)
    return replace(case, keys=_few_shared_keys(case)) if may_be_large else case


def _ready_to_judge(context: Context, case: Case, cases: Mapping[str, Case], kept: ExitStack) -> Case:
    known = {reference.source: _known(cases[reference.source]) for reference in case.contract.references}
    large = {source for source in known if cases[source].rows > BROADCAST_ROWS}
    case = replace(case, aids=case.aids._replace(referenced_rows=known, large_sources=large))
    return case if case.keys else replace(case, judged=_judged(context, case, kept))


def _judged(context: Context, case: Case, kept: ExitStack) -> DataFrame:
    # In one part few values are judged without being moved: tasks for each of many parts would take longer than their rows.
    small = case.rows * len(case.contract.columns) <= SMALL_VALUES
    raw = case.raw.coalesce(1) if small else case.raw
    return _keep(validate_rows(raw, case.contract, *context.bounds, case.aids), kept)


def _keep(frame: DataFrame, kept: ExitStack) -> DataFrame:
    kept.callback(frame.unpersist)
    return frame.persist()


def _few_shared_keys(case: Case) -> DataFrame | None:
    """The keys that several rows of a large source share; None when looking for them is not worth it, or they are many."""
    if not case.contract.key or case.contract.unique or case.rows <= SMALL_ROWS:
        return None
    keys = shared_keys(case.raw, case.contract, case.aids).limit(SHARED_KEYS + 1).localCheckpoint()
    return keys if keys.count() <= SHARED_KEYS else None


def _known(case: Case) -> DataFrame:
    assert case.judged
    return case.judged.where(F.col(VERDICT) == CLEAN)


def may_be_empty(context: Context) -> set[str]:
    """The sources of which an interval may have no row."""
    return {name for name, source in context.sources.items() if source.sliced}


def _write_clean(context: Context, audit: Audit, case: Case, kept: ExitStack) -> Result:
    tally, alone, judged = FirstPassResult(), 0, case.judged
    if judged is None:
        assert case.keys
        sieve = TwoPassValidator(case.contract, *context.bounds, case.aids, case.keys)
        tally, alone = _write_at_one_look(context, audit, case, sieve)
        judged = _keep(_suspects(context, case, sieve, tally), kept)
    written, counts = _write_judged(context, audit, case, judged) if case.judged or tally.row_buckets else (0, {})
    written += alone
    account = Account(
        "clean",
        case.contract.name,
        case.rows,
        written,
        counts.get(QUARANTINED, 0),
        counts.get(DUPLICATE, 0) + counts.get(REPEATED, 0),
        counts.get(FILTERED, 0) + tally.filtered,
        repeated=counts.get(REPEATED, 0),
        example=counts.get("example") or "",
    )
    newest = max((moment.astimezone() for moment in (counts.get("newest"), tally.newest) if moment), default=None)
    found = _found(judged, case) if counts.get(BROKEN) else []
    return Result(account, _broken(context, case.contract, account, newest, [*tally.broken, *found]), judged)


def _write_judged(context: Context, audit: Audit, case: Case, judged: DataFrame) -> tuple[int, dict[str, Any]]:
    """Stage the clean rows of a judged frame, beside those that were written before; how many, and what `verdicts` counts."""
    seen = Observation()
    rows = clean_rows(judged.observe(seen, *verdicts(case.contract)), case.contract, case.aids)
    table, rows = lake.clean(case.contract), context.stamped(rows)
    written = audit.stage(table, rows, context.replaced) if case.judged else audit.add(table, rows)
    return written, seen.get


def _write_at_one_look(context: Context, audit: Audit, case: Case, sieve: TwoPassValidator) -> tuple[FirstPassResult, int]:
    """Stage the rows that are clean at one look; what else was seen, and how many they are."""
    seen = Observation()
    looked = sieve.first_pass(case.raw).observe(seen, *sieve.first_pass_counts())
    rows = context.stamped(clean_rows(looked, case.contract, case.aids))
    written = audit.stage(lake.clean(case.contract), rows, context.replaced)
    return sieve.first_pass_result(seen.get), written


def _suspects(context: Context, case: Case, sieve: TwoPassValidator, tally: FirstPassResult) -> DataFrame:
    spots = context.spark.createDataFrame(pa.table({ROW_BUCKET: pa.array(tally.row_buckets, pa.int32())}))
    return sieve.second_pass(case.raw, spots)


def _found(judged: DataFrame, case: Case) -> list[BrokenRule]:
    return [BrokenRule(case.contract.name, r["name"], r.severity, r.rows, r.message) for r in count_broken(judged).collect()]


def _broken(
    context: Context, contract: Table, account: Account, newest: datetime | None, found: list[BrokenRule]
) -> list[BrokenRule]:
    rows = [*merge_broken(found), *check_freshness(contract, newest, context.interval.end)]
    if contract.volume:
        rows += check_volume(contract, account.rows_in - account.filtered, landed_before(context, contract))
    report_warnings(context, rows)
    return rows


def report_warnings(context: Context, broken: Iterable[BrokenRule]) -> None:
    """Show the broken promises that refuse no row."""
    for each in broken:
        if each.severity == "warn":
            context.console.print(
                f"    clean: {each.source}: {each.rows:,} rows, {each.example}", style="yellow", soft_wrap=True
            )


def landed_before(context: Context, contract: Table) -> list[int]:
    """How many rows of a source belong to each of the intervals before this one, the latest first, as its `volume` wants."""
    where = {"stage": "clean", "source": contract.name, "interval_from": Bound("<", context.interval.start)}
    before = sorted(context.lake.rows(lake.ROW_LEDGER, where), key=itemgetter("interval_from"), reverse=True)
    assert contract.volume
    return [row["rows_in"] - row["filtered"] for row in before[: contract.volume.runs]]


def _check_landed(context: Context, cases: Mapping[str, Case]) -> None:
    """Raise DataError when the interval's raw rows are not those that ingest counted: clean rows would go for nothing."""
    ledger = context.lake.rows(lake.ROW_LEDGER, {**context.whose_interval, "stage": "ingest"})
    counted = {row["source"]: row["rows_out"] for row in ledger}
    for name, case in cases.items():
        rows = landed_with(context, name).count() if may_come_late(context, name) else case.rows
        check_landed(name, rows, counted.get(name, rows))


def check_landed(name: str, rows: int, landed: int) -> None:
    """Raise DataError when there are not as many raw rows of an interval as ingest landed."""
    if rows != landed:
        raise DataError(
            f"clean: raw_{name} has {rows:,} rows of the interval, ingest landed {landed:,}. They may have expired "
            f"(maintain.raw_days). Run jobs/ingest.py with --force over the same interval first. No table was changed."
        )


def _write_quarantine(context: Context, audit: Audit, cases: dict[str, Case], results: dict[str, Result]) -> None:
    """Stage the refused rows, in the place of these sources' former ones; raises AccountingError on a leak."""
    parts = [
        with_lines(
            split_validated(results[name].judged, case.contract, case.aids).quarantined,
            line_numbers(_whole_files(context, name)),
        ).withColumn("source", F.lit(name))
        for name, case in cases.items()
        if results[name].account.quarantined
    ]
    if parts:
        rows = context.stamped(union_of(parts))
        written = audit.stage(lake.QUARANTINE, rows, context.replaced & F.col("source").isin(*cases))
    else:
        written = audit.stage_rows(lake.QUARANTINE, [], {**context.whose_replaced, "source": tuple(cases)})
    expected = sum(result.account.quarantined for result in results.values())
    check_accounts([Account("quarantine", "all sources", expected, written)])


def _whole_files(context: Context, name: str) -> DataFrame:
    rows = context.lake.read(lake.raw(context.config.contract(name)).name)
    return rows if context.sources[name].sliced else rows.where(context.in_interval)


def _write_broken(context: Context, audit: Audit, broken: list[BrokenRule]) -> None:
    start, end = context.bounds
    rows: list[dict[str, object]] = [
        {"run_id": context.run_id, "interval_from": start, "interval_to": end, **found._asdict()} for found in broken
    ]
    audit.stage_rows(lake.BROKEN_RULES, rows, context.whose_replaced)


STEP = Step("clean", ("clean", "sources"), inputs, work)
