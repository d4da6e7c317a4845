"""Send quarantined rows through their contract again, and move those that pass now to where they belong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning import replaying
from pipelines.cleaning.accounting import Account, check_accounts
from pipelines.cleaning.duplicates import DUPLICATE, FILTERED, QUARANTINED, REPEATED, VERDICT
from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.outliers import fit_fences
from pipelines.cleaning.rows import split_validated
from pipelines.expressions import union_of
from pipelines.io.audit import Audit
from pipelines.runtime.context import Context
from pipelines.runtime.execute import record_as
from pipelines.runtime.landed import landed
from pipelines.runtime.log_handler import DIM
from pipelines.runtime.promises import check_promises, rules_explained
from pipelines.runtime.step import Outcome, Step
from pipelines.steps.clean import STEP as CLEAN
from schemas import tables
from schemas.contract import Table

LOG = logging.getLogger(__name__)


class Moved(NamedTuple):
    """A source's account after the replay, the rows that stay in quarantine, and how many left it."""

    account: Account
    quarantined: DataFrame
    rows: int


def inputs(context: Context) -> dict[str, str]:
    """The run that cleaned the interval; raises DataError when none did."""
    return {"clean": context.runs.needed("clean", by="replay").run_id}


def work(context: Context) -> Outcome:
    """Move the quarantined rows that keep their contract now; raises AccountingError when rows are lost or doubled.

    A replay that moves rows counts as cleaning: the next run of clean has nothing to do.
    """
    context.lake.create(tables.QUARANTINE)  # one of an earlier version lacks columns
    refused = context.lake.read(tables.QUARANTINE.name).where(context.in_interval)
    present = {row.source for row in refused.select("source").distinct().collect()}
    ledger = _ledger(context)
    check_promises(context)
    with rules_explained(context), context.audit("clean") as audit:
        moved = {name: _replay(context, audit, name, ledger[name]) for name in context.sources if name in present}
        accounts = tuple(each.account for each in moved.values())
        check_accounts(accounts)
        if not any(each.rows for each in moved.values()):
            LOG.info("   replay: no row passes now", extra=DIM)
            return Outcome(accounts)
        _write_again(context, audit, set(context.sources) - present)
        _write_quarantine(context, audit, moved)
        context.write_ledger(audit, "clean", {**ledger, **{name: each.account for name, each in moved.items()}}.values())
        is_current = _is_current(context)
        published = audit.publish()
    if is_current:
        record_as(CLEAN, context, published)
    return Outcome(accounts, published)


def _is_current(context: Context) -> bool:
    """Whether nothing has landed since the interval was cleaned: then the replay leaves what a cleaning would."""
    last = context.runs.latest(CLEAN.name)
    return last is not None and last.inputs == CLEAN.inputs(context)


def _write_again(context: Context, audit: Audit, untouched: set[str]) -> None:
    """Write what stays as it is: a replay and a cleaning at once then publish the same tables, and one of them all."""
    for name in sorted(untouched):
        contract = tables.clean(context.config.contract(name))
        audit.write(contract, context.lake.read(contract.name).where(context.in_interval), context.in_interval)
    broken = context.lake.read(tables.BROKEN_RULES.name).where(context.in_interval)
    audit.write(tables.BROKEN_RULES, broken, context.in_interval)


def _replay(context: Context, audit: Audit, name: str, before: Account) -> Moved:
    contract = context.config.contract(name)
    refused = context.lake.read(tables.QUARANTINE.name).where(context.in_interval & (F.col("source") == name))
    clean = _clean_rows(context, contract)
    inputs_of = _cleaning_inputs(context, contract)
    unrepairable, validated = replaying.replay(clean, refused, contract, *context.bounds, inputs_of)
    validated = validated.persist()
    try:
        counts = {row[VERDICT]: row["count"] for row in validated.groupBy(VERDICT).count().collect()}
        parts = split_validated(validated, replaying.without_secrets(contract), inputs_of)
        written = audit.write(tables.clean(contract), context.stamped(parts.clean), context.in_interval)
        stay = counts.get(QUARANTINED, 0) + unrepairable.count()
        account = Account(
            "clean",
            name,
            before.rows_in,
            written,
            stay,
            before.duplicates + counts.get(DUPLICATE, 0) + counts.get(REPEATED, 0),
            before.filtered + counts.get(FILTERED, 0),
            repeated=before.repeated + counts.get(REPEATED, 0),
        )
        moved = before.quarantined - stay
        LOG.info(f"   replay: {name}: {moved:,} rows pass now, {stay:,} do not")
        # Materialized before the frames that it comes from go; refused rows are few, or the run would have failed.
        still = parts.quarantined.withColumnRenamed("source_row", "source_line").drop("source_block")
        return Moved(account, still.unionByName(unrepairable.select(*still.columns)).localCheckpoint(), moved)
    finally:
        validated.unpersist()


def _cleaning_inputs(context: Context, contract: Table) -> CleaningInputs:
    contracts = {reference.source: context.config.contract(reference.source) for reference in contract.references}
    known = {name: _clean_rows(context, of) for name, of in contracts.items()}
    return CleaningInputs(known, fit_fences(landed(context, contract.name), contract))


def _clean_rows(context: Context, contract: Table) -> DataFrame:
    return context.clean(contract.name).where(context.in_interval)


def _ledger(context: Context) -> dict[str, Account]:
    rows = context.lake.rows(tables.ROW_LEDGER, {**context.whose_interval, "step": "clean"})
    return {row["source"]: _account(row) for row in rows}


def _account(row: Mapping[str, Any]) -> Account:
    return Account(
        "clean",
        row["source"],
        row["rows_in"],
        row["rows_out"],
        row["quarantined"],
        row["duplicates"],
        row["filtered"],
        repeated=row["repeated"] or 0,
    )


def _write_quarantine(context: Context, audit: Audit, moved: dict[str, Moved]) -> None:
    parts = [each.quarantined.withColumn("source", F.lit(name)) for name, each in moved.items()]
    rows = context.stamped(union_of(parts))
    staged = audit.write(tables.QUARANTINE, rows, context.in_interval & F.col("source").isin(*moved))
    expected = sum(each.account.quarantined for each in moved.values())
    check_accounts([Account("quarantine", "all sources", expected, staged)])


STEP = Step("replay", ("clean", "sources"), inputs, work, outdates=True, reads=("quarantine", "clean_*"))
