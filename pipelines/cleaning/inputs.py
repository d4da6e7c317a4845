"""What validation takes beside the rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from pyspark.sql import Column, DataFrame

from pipelines.cleaning.checking import Fences
from schemas.contract import LANDING_ORDER, Table

Bound: TypeAlias = datetime | Column


class CleaningInputs(NamedTuple):
    """What validation takes beside the rows: rows that references point to, by source; fitted fences; the hash key as a
    frame; whether the contract's columns may be among the source's extra fields; referenced sources that are too large
    for every task to hold; and the columns that hold the interval of raw and referenced rows, when these are of several.
    """

    referenced_rows: Mapping[str, DataFrame] = MappingProxyType({})
    fences: Fences = MappingProxyType({})
    key: DataFrame | None = None
    extras: bool = False
    large_sources: Collection[str] = ()
    interval_columns: tuple[str, ...] = ()


def carried_columns(contract: Table, inputs: CleaningInputs) -> tuple[str, ...]:
    """The columns of raw rows that stay beside a row's values: by which it lies apart, and in which order it landed."""
    return (*inputs.interval_columns, *((LANDING_ORDER,) if contract.in_landing_order else ()))
