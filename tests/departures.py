"""A pipeline over the sample that costs a third less than the flights' own, for tests of what happens to runs, not to rows.

It has three of the five sources: flights, what a rule that quarantines refers to, and what one that warns refers to. Its
examples need no windows over time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.contract import Column, Table
from schemas.flights import AIRLINES, FLIGHTS, PLANES
from tests.sample import configured

KNOWN = tuple(reference for reference in FLIGHTS.references if reference.source in ("airlines", "planes"))
SOURCES = {table.name: table for table in (replace(FLIGHTS, references=KNOWN), PLANES, AIRLINES)}
EXAMPLES = Table(
    name="examples",
    columns=(
        *(FLIGHTS.column(name) for name in FLIGHTS.key),
        Column("label", "float", comment="1 when the flight left late, 0 when it did not, null when it never left"),
        FLIGHTS.column("distance"),
        FLIGHTS.column("dest"),
        Column("scheduled_departure", "timestamp", nullable=False),
        Column("minute_of_day", "double", unit="minutes since local midnight", nullable=False),
        Column("seats", "double", unit="seats"),
        Column("airline", "string"),
    ),
    key=FLIGHTS.key,
    event_time="time_hour",
)


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row a flight, with its plane and its airline."""
    planes = tables["planes"].select("tailnum", F.col("seats").cast("double").alias("seats"))
    airlines = tables["airlines"].select("carrier", F.col("name").alias("airline"))
    late = (F.col("dep_delay") > int(parameters["late_minutes"])).cast("float")
    flights = tables["flights"].withColumns(
        {
            "label": late,
            "scheduled_departure": F.timestamp_seconds(F.unix_seconds("time_hour") + F.col("minute") * 60),
            "minute_of_day": (F.col("hour") * 60 + F.col("minute")).cast("double"),
        }
    )
    return flights.join(F.broadcast(planes), "tailnum", "left").join(F.broadcast(airlines), "carrier", "left")


def departures(folder: Path, name: str, edit: Callable[[dict[str, Any]], object] = lambda _: None) -> dict[str, Any]:
    """The configuration over the sample in `folder`, as pipeline `name`, edited."""

    def _edit(content: dict[str, Any]) -> None:
        content["contracts"] = __name__
        content["sources"] = {source: content["sources"][source] for source in SOURCES}
        content["features"].update(
            derive=f"{__name__}:derive",
            numeric={"distance": {"log1p": True}, "minute_of_day": {}, "seats": {"impute": "mean"}},
            cyclic={},
            categorical={"airline": {}, "origin": {}},
        )
        content["evaluate"] = {"minimum": {"auc": 0.5}}
        edit(content)

    return configured(folder, name, _edit)
