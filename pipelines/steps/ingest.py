"""Land every source as it was received, once an interval."""

from __future__ import annotations

from functools import partial

from pyspark.sql import Observation
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account, check_accounts
from pipelines.config import Interval, Pipeline
from pipelines.io.audit import Audit
from pipelines.io.sources.kinds import make_source
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import replaced_intervals, report_replaced
from pipelines.runtime.promises import check_promises
from pipelines.runtime.step import BulkStep, Outcome
from pipelines.steps.bulk import ingest as bulk
from pipelines.steps.landing import (
    cached_pages,
    check_landed,
    counted_where_read,
    failures_explained,
    report_absent,
    rows_to_land,
)
from schemas import tables


def check(config: Pipeline, interval: Interval) -> None:
    """Raise ConfigError when a source names an environment variable that is not set, such as its password's."""
    for name, section in config.sources.items():
        make_source(name, section).check(config.contract(name), interval)


def inputs(context: Context) -> dict[str, str]:
    """Each source's version; raises ConfigError when the interval cuts through one that is landed or cleaned."""
    for step in ("ingest", "clean"):
        replaced_intervals(context, step)
    return {
        name: source.version(context.spark, context.config.contract(name), context.interval)
        for name, source in context.sources.items()
    }


def work(context: Context) -> Outcome:
    """Land all sources, or none; raises DataError when one is empty or does not fit its contract, and ConfigError when Spark
    can't read a contract's rule.
    """
    check_promises(context)
    with cached_pages(context, [context.interval]), context.audit("ingest") as audit:
        accounts = tuple(context.each(partial(_land, context, audit)).values())
        check_accounts(accounts)
        replaced = report_replaced(context, "ingest", replaced_intervals(context, "ingest"))
        context.write_ledger(audit, "ingest", accounts, replaced)
        return Outcome(accounts, audit.publish())


def _land(context: Context, audit: Audit, name: str) -> Account:
    source, contract = context.sources[name], context.config.contract(name)
    read = Observation()
    report_absent(context, name, context.interval)
    with source.reading(context.spark, contract, context.interval) as rows:
        prepared = rows_to_land(rows.observe(read, *counted_where_read()), contract, F.lit(context.interval.start))
        with failures_explained(source, contract):
            landed = audit.write(tables.raw(contract), context.stamped(prepared), context.replaced)
    check_landed(source, contract, read, landed)
    return Account("ingest", name, rows_in=int(read.get["rows"]), rows_out=landed)


STEP = BulkStep("ingest", ("sources",), inputs, work, check, bulk=bulk.BULK, reads=("sources",))
