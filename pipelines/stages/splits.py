"""Which rows train, which choose, which judge."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column
from pyspark.sql import functions as F

SPLITS = ("train", "validation", "test")
HASHED = 1 << 30


def split_by_time(event_time: Column, validation_from: datetime, test_from: datetime) -> Column:
    """The split of a row by its event time: train before the first bound, validation before the second, then test."""
    return (
        F.when(event_time < F.lit(validation_from), "train").when(event_time < F.lit(test_from), "validation").otherwise("test")
    )


def split_by_entity(columns: tuple[str, ...], validation: float, test: float, seed: int) -> Column:
    """The split of an entity's rows, all of them the same, by a hash of its key; the shares are of entities, not of rows.

    Rows without a key are one entity.
    """
    place = F.pmod(F.xxhash64(F.lit(seed), *columns), F.lit(HASHED)) / HASHED
    return F.when(place < F.lit(test), "test").when(place < F.lit(test + validation), "validation").otherwise("train")
