"""What tests of databases share: a small contract, rows as they land, and a Java machine in another time zone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Row, SparkSession

from pipelines.config import Interval, SourceSection
from pipelines.io.sources.base import Source
from pipelines.io.sources.kinds import make_source
from schemas.contract import Column, Table

PAIRS = Table("pairs", (Column("id", "int"), Column("name", "string")))
YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))


def source(url: str, table: str, **settings: Any) -> Source:
    """A source named `pairs` over a table."""
    return make_source("pairs", SourceSection(kind="jdbc", url=url, table=table, **settings))


def texts(*names: str) -> Table:
    """A contract of text columns."""
    return Table("pairs", tuple(Column(name, "string") for name in names))


def landed(source: Source, spark: SparkSession, contract: Table = PAIRS, interval: Interval = YEAR) -> list[Row]:
    """The rows as they land."""
    with source.reading(spark, contract, interval) as rows:
        return rows.collect()


def ids_of(rows: list[Row]) -> list[int]:
    """The ids among rows, sorted."""
    return sorted(int(row.id) for row in rows)


@contextmanager
def java_in(spark: SparkSession, zone: str) -> Iterator[None]:
    """Within it Java's default zone is another, as it is on a machine whose TZ is."""
    java: Any = spark._jvm
    zones = java.java.util.TimeZone
    before = zones.getDefault()
    zones.setDefault(zones.getTimeZone(zone))
    try:
        yield
    finally:
        zones.setDefault(before)
