"""Judge every landed row of the interval: clean, quarantined, duplicate or filtered."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.flows.context import Context, Outcome, Step
from pipelines.io.audit import Audit
from pipelines.stages.accounting import Account, check_accounts, check_quarantine
from pipelines.stages.cleaning import DUPLICATE, FILTERED, QUARANTINED, count_verdicts, judge, split_judged
from schemas import lake


def inputs(context: Context) -> dict[str, str]:
    """The run that landed the interval's rows; raises DataError when none did."""
    return {"ingest": context.runs.needed("ingest", by="clean").run_id}


def work(context: Context) -> Outcome:
    """Write the sources' clean tables and the quarantine, once their accounts close.

    Raises DataError when too many rows of a source are quarantined or none is left, AccountingError when rows are lost.
    """
    judged = {name: _judged(context, name).persist() for name in context.config.sources}
    try:
        with context.audit("clean") as audit:
            accounts = tuple(context.each(lambda name: _write_clean(context, audit, name, judged[name])).values())
            check_accounts(accounts)
            check_quarantine(accounts, context.config.clean.max_quarantined_share)
            _write_quarantine(context, audit, judged, sum(account.quarantined for account in accounts))
            context.stage_ledger(audit, "clean", accounts)
            return Outcome(accounts, audit.publish())
    finally:
        for frame in judged.values():
            frame.unpersist()


def _judged(context: Context, name: str) -> DataFrame:
    contract = context.config.contract(name)
    raw = context.lake.read(lake.raw(contract).name).where(context.in_interval)
    return judge(raw, contract, *context.bounds)


def _write_clean(context: Context, audit: Audit, name: str, judged: DataFrame) -> Account:
    contract = context.config.contract(name)
    # Counted from the landed table's own metadata, not from the frame whose leaks the account is to show.
    landed = context.lake.read(lake.raw(contract).name).where(context.in_interval).count()
    _check_landed(context, name, landed)
    counts = count_verdicts(judged).collect()[0]
    clean = split_judged(judged, contract).clean
    written = audit.stage(lake.clean(contract), context.stamped(clean), context.in_interval)
    return Account(
        "clean",
        name,
        landed,
        written,
        counts[QUARANTINED],
        counts[DUPLICATE],
        counts[FILTERED],
        counts["example"] or "",
    )


def _check_landed(context: Context, name: str, landed: int) -> None:
    """Raise DataError when the interval's raw rows are not those that ingest counted: clean rows would go for nothing."""
    ours = context.in_interval & (F.col("stage") == "ingest") & (F.col("source") == name)
    counted = [row.rows_out for row in context.lake.read(lake.ROW_LEDGER.name).where(ours).collect()]
    if counted and counted != [landed]:
        raise DataError(
            f"clean: raw_{name} has {landed:,} rows of the interval, ingest landed {counted[0]:,}. They may have expired "
            f"(maintain.raw_days). Run jobs/ingest.py with --force over the same interval first. No table was changed."
        )


def _write_quarantine(context: Context, audit: Audit, judged: dict[str, DataFrame], expected: int) -> None:
    parts = [
        split_judged(frame, context.config.contract(name)).quarantined.withColumn("source", F.lit(name))
        for name, frame in judged.items()
    ]
    rows = context.stamped(reduce(DataFrame.unionByName, parts))
    replaced = context.in_interval & F.col("source").isin(*judged)
    written = audit.stage(lake.QUARANTINE, rows, replaced)
    check_accounts([Account("quarantine", "all sources", expected, written)])


STEP = Step("clean", ("clean",), inputs, work)
