"""Land every source as it was received, once an interval."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.flows.context import Context, Outcome, Step
from pipelines.io import files
from pipelines.io.tables import Audit
from pipelines.stages.accounting import Account, check_accounts
from schemas import lake
from schemas.contract import Table

READERS: dict[str, Callable[[SparkSession, str, Table], DataFrame]] = {"csv": files.read_csv}


def inputs(context: Context) -> dict[str, str]:
    """Each source's version."""
    return {name: files.version(context.spark, source.path) for name, source in context.config.sources.items()}


def work(context: Context) -> Outcome:
    """Land all sources, or none; raises DataError when one is empty or does not fit its header's contract."""
    with context.lake.audit() as audit:
        accounts = tuple(context.each(partial(_land, context, audit)).values())
        check_accounts(accounts)
        context.stage_ledger(audit, "ingest", accounts)
        return Outcome(accounts, audit.publish())


def _land(context: Context, audit: Audit, name: str) -> Account:
    source, contract = context.config.sources[name], context.config.contract(name)
    read = Observation()
    rows = READERS[source.kind](context.spark, source.path, contract).observe(read, F.count("*").alias("rows"))
    try:
        landed = audit.stage(lake.raw(contract), context.stamped(rows), context.in_interval)
    except (Py4JJavaError, PySparkException) as error:
        if told := files.other_header(error):
            raise DataError(
                f"source {name}: {told}. Give all files of {source.path} one header. No table was changed."
            ) from error
        raise
    if not landed:
        raise DataError(f"source {name}: {source.path} has a header but no rows; expected at least one. No table was changed.")
    return Account("ingest", name, rows_in=int(read.get["rows"]), rows_out=landed)


STEP = Step("ingest", ("sources",), inputs, work)
