"""Requests that the flights model has served, and what became of the flights: the contracts of live drift and metrics."""

from __future__ import annotations

from dataclasses import replace

from schemas.contract import Column, Table
from schemas.flights import EXAMPLES as FLIGHTS
from schemas.flights import FLIGHTS as DEPARTURES
from schemas.served import SERVED, served_requests

NO_INPUTS = ("time_hour", "carrier", "flight", "scheduled_departure", "label")
INPUTS = tuple(column for column in FLIGHTS.columns if column.name not in NO_INPUTS)

REQUESTS = served_requests(INPUTS)
OUTCOMES = Table(
    "outcomes",
    (
        Column("served_request", "string", nullable=False),
        Column("served_row", "int", nullable=False, minimum=0),
        replace(DEPARTURES.column("arr_delay"), comment="missing where the flight never arrived"),
    ),
    key=("served_request", "served_row"),
    latest_by=("arr_delay",),
)
SOURCES = {table.name: table for table in (REQUESTS, OUTCOMES)}

EXAMPLES = Table(
    "examples",
    (*SERVED, FLIGHTS.column("label"), *(replace(column, nullable=True) for column in INPUTS)),
    key=REQUESTS.key,
    event_time="served_at",
)
