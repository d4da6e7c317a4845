"""Judge every landed row of the interval: clean, quarantined, duplicate or filtered."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from graphlib import TopologicalSorter
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.expressions import union_of
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.landed import landed, late_runs
from pipelines.flows.secret import hash_key_of
from pipelines.io.audit import Audit
from pipelines.stages.accounting import Account, check_accounts, check_quarantine
from pipelines.stages.cleaning import Aids, clean_rows, count_broken, count_verdicts, judge, shared_keys, split_judged
from pipelines.stages.duplicates import CLEAN, DUPLICATE, FILTERED, QUARANTINED, REPEATED, VERDICT
from pipelines.stages.expectations import Broken, check_failures, check_freshness, check_volume, merged
from pipelines.stages.outliers import fit_fences
from pipelines.stages.places import line_numbers, with_lines
from pipelines.stages.sifting import SPOT, Sieve, Tally
from schemas import lake
from schemas.contract import Table

BROADCAST_ROWS = 1_000_000
SHARED_KEYS = 1_000_000  # of so many hashes each task can hold a copy
SMALL_ROWS = 200_000  # with fewer, looking for shared keys first costs more than it saves


@dataclass(frozen=True)
class Case:
    """One source before the judge: its contract, its landed rows and their number, and what judging takes. The rows judged,
    kept from when they are first read; or, where they are too many to keep, the keys that several of them share.
    """

    contract: Table
    raw: DataFrame
    rows: int
    aids: Aids
    judged: DataFrame | None
    keys: DataFrame | None = None


class Result(NamedTuple):
    """One source's account, the promises that were broken, and its judged rows: all of them, or all that were not clean at
    one look.
    """

    account: Account
    broken: list[Broken]
    judged: DataFrame


def inputs(context: Context) -> dict[str, str]:
    """The run that landed the interval's rows, and those that landed late ones; raises DataError when none did the first."""
    return {"ingest": context.runs.needed("ingest", by="clean").run_id, **late_runs(context)}


def work(context: Context) -> Outcome:
    """Write the sources' clean tables, the quarantine and the broken rules, once their accounts close.

    Raises DataError when too many rows of a source are quarantined, none is left or a rule that must hold is broken,
    AccountingError when rows are lost.
    """
    with ExitStack() as kept, context.audit("clean") as audit:
        cases = _open_cases(context, kept)
        results = context.each(lambda name: _write_clean(context, audit, cases[name], kept))
        accounts = tuple(result.account for result in results.values())
        broken = [found for result in results.values() for found in result.broken]
        check_accounts(accounts)
        check_failures(broken)
        check_quarantine(accounts, context.config.clean.max_quarantined_share, _may_be_empty(context))
        context.at_once(
            lambda: _write_quarantine(context, audit, cases, results),
            lambda: _write_broken(context, audit, broken),
            lambda: context.stage_ledger(audit, "clean", accounts),
        )
        return Outcome(accounts, audit.publish())


def _open_cases(context: Context, kept: ExitStack) -> dict[str, Case]:
    """Every source's rows, ready to be judged; those that are referred to come first."""
    contracts = {name: context.config.contract(name) for name in context.config.sources}
    wanted = {name: {reference.source for reference in contract.references} for name, contract in contracts.items()}
    referred = set().union(*wanted.values())
    cases: dict[str, Case] = {}
    for name in TopologicalSorter(wanted).static_order():
        contract, raw = contracts[name], landed(context, name)
        known = {reference.source: _known(cases[reference.source]) for reference in contract.references}
        extras = context.sources[name].drift == "add"
        large = {source for source in known if cases[source].rows > BROADCAST_ROWS}
        aids = Aids(known, fit_fences(raw, contract), hash_key_of(context, contract), extras, large)
        # Counted from the landed table's own metadata, not from the frame whose leaks the account is to show.
        case = Case(contract, raw, raw.count(), aids, None)
        keys = None if name in referred else _few_shared_keys(case)
        cases[name] = replace(case, keys=keys) if keys else replace(case, judged=_judged(context, case, kept))
    return cases


def _judged(context: Context, case: Case, kept: ExitStack) -> DataFrame:
    return _keep(judge(case.raw, case.contract, *context.bounds, case.aids), kept)


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


def _may_be_empty(context: Context) -> set[str]:
    return {name for name, source in context.sources.items() if source.sliced}


def _write_clean(context: Context, audit: Audit, case: Case, kept: ExitStack) -> Result:
    _check_landed(context, case.contract)
    tally, alone, judged = Tally(), 0, case.judged
    if judged is None:
        assert case.keys
        sieve = Sieve(case.contract, *context.bounds, case.aids, case.keys)
        tally, alone = _write_at_one_look(context, audit, case, sieve)
        judged = _keep(_suspects(context, case, sieve, tally), kept)
    counts = count_verdicts(judged, case.contract).collect()[0]
    rows = context.stamped(clean_rows(judged, case.contract, case.aids))
    table = lake.clean(case.contract)
    written = audit.stage(table, rows, context.in_interval) if case.judged else alone + audit.add(table, rows)
    account = Account(
        "clean",
        case.contract.name,
        case.rows,
        written,
        counts[QUARANTINED],
        counts[DUPLICATE] + counts[REPEATED],
        counts[FILTERED] + tally.filtered,
        repeated=counts[REPEATED],
        example=counts["example"] or "",
    )
    newest = max((moment.astimezone() for moment in (counts["newest"], tally.newest) if moment), default=None)
    return Result(account, _broken(context, case.contract, account, newest, [*tally.broken, *_found(judged, case)]), judged)


def _write_at_one_look(context: Context, audit: Audit, case: Case, sieve: Sieve) -> tuple[Tally, int]:
    """Stage the rows that are clean at one look; what else was seen, and how many they are."""
    seen = Observation()
    looked = sieve.sift(case.raw).observe(seen, *sieve.tallies())
    rows = context.stamped(clean_rows(looked, case.contract, case.aids))
    written = audit.stage(lake.clean(case.contract), rows, context.in_interval)
    return sieve.tally(seen.get), written


def _suspects(context: Context, case: Case, sieve: Sieve, tally: Tally) -> DataFrame:
    spots = context.spark.createDataFrame(pa.table({SPOT: pa.array(tally.spots, pa.int32())}))
    return sieve.judge_suspects(case.raw, spots)


def _found(judged: DataFrame, case: Case) -> list[Broken]:
    return [Broken(case.contract.name, r["name"], r.severity, r.rows, r.message) for r in count_broken(judged).collect()]


def _broken(context: Context, contract: Table, account: Account, newest: datetime | None, found: list[Broken]) -> list[Broken]:
    rows = [*merged(found), *check_freshness(contract, newest, context.interval.end)]
    if contract.volume:
        rows += check_volume(contract, account.rows_in - account.filtered, _landed_before(context, contract.name))
    for each in rows:
        if each.severity == "warn":
            context.console.print(
                f"    clean: {contract.name}: {each.rows:,} rows, {each.example}", style="yellow", soft_wrap=True
            )
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


def _write_quarantine(context: Context, audit: Audit, cases: dict[str, Case], results: dict[str, Result]) -> None:
    """Stage the refused rows, in the place of these sources' former ones; raises AccountingError on a leak."""
    parts = [
        with_lines(
            split_judged(results[name].judged, case.contract, case.aids).quarantined,
            line_numbers(_whole_files(context, name)),
        ).withColumn("source", F.lit(name))
        for name, case in cases.items()
        if results[name].account.quarantined
    ]
    rows = context.stamped(union_of(parts)) if parts else context.lake.frame(lake.QUARANTINE, [])
    written = audit.stage(lake.QUARANTINE, rows, context.in_interval & F.col("source").isin(*cases))
    expected = sum(result.account.quarantined for result in results.values())
    check_accounts([Account("quarantine", "all sources", expected, written)])


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
