"""What the service's request log says of each row, beside the model's inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schemas.contract import Column, Table

SERVED = (
    Column("served_request", "string", nullable=False, comment="the request's X-Request-Id"),
    Column("served_row", "int", nullable=False, minimum=0, comment="place in the request"),
    Column("served_at", "timestamp", unit="UTC", nullable=False),
    Column("served_model", "string", nullable=False),
    Column("served_version", "string", nullable=False),
    Column("served_score", "double"),
    Column("served_calibrated_score", "double", comment="of a model that carries a calibration"),
)


def served_requests(inputs: Iterable[Column]) -> Table:
    """The contract of a request log: a row a served row, with the model's inputs, which the service has checked.

    A model that takes fewer of them leaves the others out, so any may be missing.
    """
    columns = (replace(column, nullable=True, from_history=False) for column in inputs)
    return Table(
        "requests", (*SERVED, *columns), key=("served_request", "served_row"), latest_by=("served_at",), event_time="served_at"
    )
