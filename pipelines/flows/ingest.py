"""Land every source as it was received, once an interval."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Observation
from pyspark.sql import functions as F

from pipelines.config import Interval, Pipeline
from pipelines.errors import DataError
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.coverage import replaced_intervals, report_replaced
from pipelines.flows.promises import check_promises
from pipelines.io.audit import Audit
from pipelines.io.sources import make_source
from pipelines.stages.accounting import Account, check_accounts
from pipelines.stages.cleaning import event_time
from schemas import lake


def check(config: Pipeline, interval: Interval) -> None:
    """Raise ConfigError when a source names an environment variable that is not set, such as its password's."""
    for name, section in config.sources.items():
        make_source(name, section).check(config.contract(name), interval)


def inputs(context: Context) -> dict[str, str]:
    """Each source's version; raises ConfigError when the interval cuts through one that is landed or cleaned."""
    for stage in ("ingest", "clean"):
        replaced_intervals(context, stage)
    return {
        name: source.version(context.spark, context.config.contract(name), context.interval)
        for name, source in context.sources.items()
    }


def work(context: Context) -> Outcome:
    """Land all sources, or none; raises DataError when one is empty or does not fit its contract, and ConfigError when Spark
    can't read a contract's rule.
    """
    check_promises(context)
    with _kept(context), context.audit("ingest") as audit:
        accounts = tuple(context.each(partial(_land, context, audit)).values())
        check_accounts(accounts)
        replaced = report_replaced(context, "ingest", replaced_intervals(context, "ingest"))
        context.stage_ledger(audit, "ingest", accounts, replaced)
        return Outcome(accounts, audit.publish())


@contextmanager
def _kept(context: Context) -> Iterator[None]:
    """Have sources forget what they fetched once it has landed, and when it is wrong, so that mended data is asked for; what
    a run fetched that broke off otherwise is kept for the next.
    """
    try:
        yield
    except DataError:
        _forget(context)
        raise
    _forget(context)


def _forget(context: Context) -> None:
    for name, source in context.sources.items():
        source.forget(context.config.contract(name), context.interval)


def _land(context: Context, audit: Audit, name: str) -> Account:
    source, contract = context.sources[name], context.config.contract(name)
    read = Observation()
    unknown = F.max(F.array_join(F.map_keys("extra"), ", ")).alias("unknown")
    for absent in source.absent(context.spark, contract, context.interval):
        context.console.print(f"   ingest: {name}: there is no {absent}, nothing landed of it", style="yellow", soft_wrap=True)
    with source.reading(context.spark, contract, context.interval) as rows:
        placed = rows.observe(read, F.count("*").alias("rows"), unknown).withColumn("event_at", event_time(contract))
        try:
            landed = audit.stage(lake.raw(contract), context.stamped(placed), context.replaced)
        except (Py4JJavaError, PySparkException) as error:
            if explained := source.explain(error, contract):
                raise explained from error
            raise
    if source.fields_by_row and source.drift == "fail" and read.get["unknown"]:
        raise DataError(
            f"source {name}: a row of {source.place} has fields that the contract does not know: {read.get['unknown']}; "
            f"expected {', '.join(contract.column_names)}. Declare them, or set sources.{name}.drift to ignore or add. "
            f"No table was changed."
        )
    if not landed and not source.sliced:
        raise DataError(f"source {name}: {source.place} has no rows; expected at least one. No table was changed.")
    return Account("ingest", name, rows_in=int(read.get["rows"]), rows_out=landed)


STEP = Step("ingest", ("sources",), inputs, work, check)
