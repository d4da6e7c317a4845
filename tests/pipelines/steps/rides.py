"""Contracts and derivation of a small pipeline for tests: whether a ride to a town will be late."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.contract import Column, Table

RIDES = Table(
    "rides",
    (
        Column("id", "int", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("miles", "double", minimum=0),
        Column("seats", "int"),
        Column("town", "string"),
        Column("minutes_late", "double"),
    ),
    key=("id",),
    event_time="at",
)
SOURCES = {"rides": RIDES}
EXAMPLES = Table(
    "examples",
    (
        Column("id", "int", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("label", "float"),
        Column("miles", "double"),
        Column("seats", "int"),
        Column("town", "string"),
    ),
    key=("id",),
    event_time="at",
)


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row a ride, late by more than 5 minutes. Of a ride of 999 miles the distance is no number."""
    miles = F.when(F.col("miles") == 999, F.lit(float("nan"))).otherwise(F.col("miles"))
    late = (F.col("minutes_late") > 5).cast("float")
    return tables["rides"].withColumns({"miles": miles, "label": late})
