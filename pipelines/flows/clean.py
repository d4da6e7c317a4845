"""Judge every landed row of the interval: clean, quarantined, duplicate or filtered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from graphlib import TopologicalSorter

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.landed import landed, late_runs
from pipelines.flows.secret import hash_key_of
from pipelines.io.audit import Audit
from pipelines.stages.accounting import Account, check_accounts, check_quarantine
from pipelines.stages.cleaning import Aids, check_rows, count_broken, count_verdicts, shared_keys, split_judged
from pipelines.stages.duplicates import (
    CLEAN,
    DUPLICATE,
    FILTERED,
    QUARANTINED,
    REPEATED,
    VERDICT,
    mark_among_shared,
    mark_duplicates,
    with_shared,
)
from pipelines.stages.expectations import Broken, check_failures, check_freshness, check_volume
from pipelines.stages.outliers import fit_fences
from pipelines.stages.places import line_numbers, with_lines
from schemas import lake
from schemas.contract import Table

BROADCAST_ROWS = 1_000_000
SHARED_KEYS = 1_000_000  # of so many hashes each task can hold a copy
SMALL_ROWS = 1_000_000  # with fewer, looking for shared keys first costs more than it saves


@dataclass(frozen=True)
class Case:
    """One source before the judge: its contract, its landed rows, what judging takes, the judged rows, and what is kept of
    them until they are written.
    """

    contract: Table
    raw: DataFrame
    rows: int
    aids: Aids
    judged: DataFrame
    kept: DataFrame


def inputs(context: Context) -> dict[str, str]:
    """The run that landed the interval's rows, and those that landed late ones; raises DataError when none did the first."""
    return {"ingest": context.runs.needed("ingest", by="clean").run_id, **late_runs(context)}


def work(context: Context) -> Outcome:
    """Write the sources' clean tables, the quarantine and the broken rules, once their accounts close.

    Raises DataError when too many rows of a source are quarantined, none is left or a rule that must hold is broken,
    AccountingError when rows are lost.
    """
    cases = open_cases(context)
    try:
        with context.audit("clean") as audit:
            results = context.each(lambda name: _write_clean(context, audit, cases[name]))
            accounts = tuple(account for account, _ in results.values())
            broken = [found for _, several in results.values() for found in several]
            check_accounts(accounts)
            check_failures(broken)
            check_quarantine(accounts, context.config.clean.max_quarantined_share, _may_be_empty(context))
            write_quarantine(context, audit, cases, {account.source: account.quarantined for account in accounts})
            _write_broken(context, audit, broken)
            context.stage_ledger(audit, "clean", accounts)
            return Outcome(accounts, audit.publish())
    finally:
        for case in cases.values():
            case.kept.unpersist()


def open_cases(context: Context) -> dict[str, Case]:
    """Every source's rows, judged when they are first read and kept from then on; those that are referred to come first."""
    contracts = {name: context.config.contract(name) for name in context.config.sources}
    wanted = {name: {reference.source for reference in contract.references} for name, contract in contracts.items()}
    cases: dict[str, Case] = {}
    for name in TopologicalSorter(wanted).static_order():
        contract, raw = contracts[name], landed(context, name)
        known = {reference.source: _clean_of(cases[reference.source]) for reference in contract.references}
        extras = context.sources[name].drift == "add"
        large = {source for source in known if cases[source].rows > BROADCAST_ROWS}
        aids = Aids(known, fit_fences(raw, contract), hash_key_of(context, contract), extras, large)
        cases[name] = _open(context, contract, raw, aids)
    return cases


def _open(context: Context, contract: Table, raw: DataFrame, aids: Aids) -> Case:
    # Counted from the landed table's own metadata, not from the frame whose leaks the account is to show.
    rows = raw.count()
    checked = check_rows(raw, contract, *context.bounds, aids)
    if contract.key and not contract.unique and rows > SMALL_ROWS:
        keys = shared_keys(raw, contract, aids).limit(SHARED_KEYS + 1).localCheckpoint()
        if keys.count() <= SHARED_KEYS:
            kept = with_shared(checked, contract, keys).persist()
            # Two stages read the kept rows, at once: each would judge them all, on executors of their own, were they not there.
            kept.count()
            return Case(contract, raw, rows, aids, mark_among_shared(kept, contract), kept)
    judged = mark_duplicates(checked, contract).persist()
    return Case(contract, raw, rows, aids, judged, judged)


def _clean_of(case: Case) -> DataFrame:
    return case.judged.where(F.col(VERDICT) == CLEAN)


def _may_be_empty(context: Context) -> set[str]:
    return {name for name, source in context.sources.items() if source.sliced}


def _write_clean(context: Context, audit: Audit, case: Case) -> tuple[Account, list[Broken]]:
    _check_landed(context, case.contract)
    counts = count_verdicts(case.judged, case.contract).collect()[0]
    clean = split_judged(case.judged, case.contract, case.aids).clean
    written = audit.stage(lake.clean(case.contract), context.stamped(clean), context.in_interval)
    account = Account(
        "clean",
        case.contract.name,
        case.rows,
        written,
        counts[QUARANTINED],
        counts[DUPLICATE] + counts[REPEATED],
        counts[FILTERED],
        repeated=counts[REPEATED],
        example=counts["example"] or "",
    )
    return account, _broken(context, case, account, counts["newest"])


def _broken(context: Context, case: Case, account: Account, newest: datetime | None) -> list[Broken]:
    source = case.contract.name
    rows = [Broken(source, r["name"], r.severity, r.rows, r.message) for r in count_broken(case.judged).collect()]
    rows += check_freshness(case.contract, newest and newest.astimezone(), context.interval.end)
    if case.contract.volume:
        rows += check_volume(case.contract, account.rows_in - account.filtered, _landed_before(context, source))
    for found in rows:
        if found.severity == "warn":
            context.console.print(f"    clean: {source}: {found.rows:,} rows, {found.example}", style="yellow", soft_wrap=True)
    return rows


def _landed_before(context: Context, source: str) -> list[int]:
    if not context.lake.exists(lake.ROW_LEDGER.name):
        return []
    before = F.col("interval_from") < F.lit(context.interval.start)
    accounts = context.lake.read(lake.ROW_LEDGER.name).where(before & (F.col("stage") == "clean") & (F.col("source") == source))
    rows = accounts.orderBy(F.col("interval_from").desc())
    contract = context.config.contract(source)
    assert contract.volume
    return [row.rows_in - row.filtered for row in rows.limit(contract.volume.runs).collect()]


def _check_landed(context: Context, contract: Table) -> None:
    """Raise DataError when the interval's raw rows are not those that ingest counted: clean rows would go for nothing."""
    landed = context.lake.read(lake.raw(contract).name).where(context.in_interval).count()
    ours = context.in_interval & (F.col("stage") == "ingest") & (F.col("source") == contract.name)
    counted = [row.rows_out for row in context.lake.read(lake.ROW_LEDGER.name).where(ours).collect()]
    if counted and counted != [landed]:
        raise DataError(
            f"clean: raw_{contract.name} has {landed:,} rows of the interval, ingest landed {counted[0]:,}. They may have "
            f"expired (maintain.raw_days). Run jobs/ingest.py with --force over the same interval first. No table was changed."
        )


def write_quarantine(context: Context, audit: Audit, cases: dict[str, Case], expected: dict[str, int]) -> None:
    """Stage the refused rows of the cases, in the place of these sources' former ones; raises AccountingError on a leak."""
    parts = [
        with_lines(split_judged(case.judged, case.contract, case.aids).quarantined, line_numbers(_whole_files(context, name)))
        .withColumn("source", F.lit(name))
        for name, case in cases.items()
        if expected[name]
    ]  # fmt: skip
    rows = context.stamped(reduce(DataFrame.unionByName, parts)) if parts else context.lake.frame(lake.QUARANTINE, [])
    written = audit.stage(lake.QUARANTINE, rows, context.in_interval & F.col("source").isin(*cases))
    check_accounts([Account("quarantine", "all sources", sum(expected.values()), written)])


def _whole_files(context: Context, name: str) -> DataFrame:
    rows = context.lake.read(lake.raw(context.config.contract(name)).name)
    return rows if context.sources[name].sliced else rows.where(context.in_interval)


def _write_broken(context: Context, audit: Audit, broken: list[Broken]) -> None:
    start, end = context.bounds
    rows: list[dict[str, object]] = [
        {"run_id": context.run_id, "interval_from": start, "interval_to": end, **found._asdict()} for found in broken
    ]
    audit.stage(lake.BROKEN_RULES, context.lake.frame(lake.BROKEN_RULES, rows), context.in_interval)


STEP = Step("clean", ("clean", "sources"), inputs, work)
