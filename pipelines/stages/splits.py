"""Which rows are in the train, validation and test splits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines.expressions import cols

SPLITS = ("train", "validation", "test")
HASH_RANGE = 1 << 30


def split_by_time(event_time: Column, validation_from: datetime, test_from: datetime) -> Column:
    """The split of a row by its event time: train before the first bound, validation before the second, then test."""
    return (
        F.when(event_time < F.lit(validation_from), "train").when(event_time < F.lit(test_from), "validation").otherwise("test")
    )


def split_by_entity(columns: tuple[str, ...], validation: float, test: float, seed: int) -> Column:
    """The split of an entity's rows, all of them the same, by a hash of its key; the shares are of entities, not of rows.

    Rows without a key are one entity.
    """
    position = F.pmod(F.xxhash64(F.lit(seed), *cols(columns)), F.lit(HASH_RANGE)) / HASH_RANGE
    return F.when(position < F.lit(test), "test").when(position < F.lit(test + validation), "validation").otherwise("train")


def outside_embargo(label: Column, event_time: Column, bounds: Iterable[datetime], hours: float) -> Column:
    """The label, missing in rows of the last `hours` before a bound."""
    for end in bounds:
        # Not by the clock of its zone, of which an hour may be skipped or come twice.
        start = end.astimezone(UTC) - timedelta(hours=hours)
        label = F.when((event_time < F.lit(start)) | (event_time >= F.lit(end)), label)
    return label
