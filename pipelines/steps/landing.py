"""What ingest does to a source's rows, of one interval or of many."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from pipelines.cleaning.landing import landing_order
from pipelines.cleaning.rows import event_time
from pipelines.config import Interval
from pipelines.errors import DataError
from pipelines.io.periods import PERIOD
from pipelines.io.sources.base import Source
from pipelines.runtime.context import Context
from schemas.contract import LANDING_ORDER, Table

LOG = logging.getLogger(__name__)


@contextmanager
def cached_pages(context: Context, intervals: Sequence[Interval]) -> Iterator[None]:
    """Have sources forget what they fetched once it has landed, and when it is wrong, so that corrected data is asked for; what
    a run fetched that broke off otherwise is kept for the next.
    """
    try:
        yield
    except DataError:
        _forget(context, intervals)
        raise
    _forget(context, intervals)


def _forget(context: Context, intervals: Sequence[Interval]) -> None:
    for name, source in context.sources.items():
        for interval in intervals:
            source.forget(context.config.contract(name), interval)


def report_absent(context: Context, name: str, interval: Interval) -> None:
    """Log the files of an interval's periods that are not there, where that is to be reported."""
    for absent in context.sources[name].absent(context.spark, context.config.contract(name), interval):
        LOG.warning(f"   ingest: {name}: there is no {absent}, nothing landed of it")


def counted_where_read() -> tuple[Column, Column]:
    """Aggregates over rows where they are read: how many there are, and fields of one that the contract does not know."""
    return F.count("*").alias("rows"), F.max(F.array_join(F.map_keys("extra"), ", ")).alias("unknown")


def rows_to_land(rows: DataFrame, contract: Table, start: Column) -> DataFrame:
    """A source's rows with their event time and, where the contract goes by it, their landing order; `start` is that of the
    interval, for rows that do not know their period.
    """
    prepared = rows.withColumn("event_at", event_time(contract))
    if contract.in_landing_order:
        prepared = prepared.withColumn(LANDING_ORDER, landing_order(F.col(PERIOD) if PERIOD in rows.columns else start))
    return prepared.drop(PERIOD)


@contextmanager
def failures_explained(source: Source, contract: Table) -> Iterator[None]:
    """Within it an error of Spark's that comes from the source is one of ringmill's, which says what is wrong there."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        if explained := source.explain(error, contract):
            raise explained from error
        raise


def check_landed(source: Source, contract: Table, read: Observation, landed: int) -> None:
    """Raise DataError when rows have fields that the contract does not know, or there are none where some are expected."""
    name = contract.name
    if source.fields_by_row and source.drift == "fail" and read.get["unknown"]:
        raise DataError(
            f"source {name}: a row of {source.location} has fields that the contract does not know: {read.get['unknown']}; "
            f"expected {', '.join(contract.column_names)}. Declare them, or set sources.{name}.drift to ignore or add. "
            f"No table was changed."
        )
    if not landed and not source.sliced:
        raise DataError(f"source {name}: {source.location} has no rows; expected at least one. No table was changed.")
