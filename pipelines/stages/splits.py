"""Which rows train, which choose, which judge."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column
from pyspark.sql import functions as F


def split_by_time(event_time: Column, validation_from: datetime, test_from: datetime) -> Column:
    """The split of a row by its event time: train before the first bound, validation before the second, then test."""
    return (
        F.when(event_time < F.lit(validation_from), "train").when(event_time < F.lit(test_from), "validation").otherwise("test")
    )
