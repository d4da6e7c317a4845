"""The weather pipeline's own derivation: hourly rows, the wind as a vector. Windows and labels are made of them by the spec."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row an airport and hour; of still air, which has no direction, both components are 0."""
    angle = F.radians(F.coalesce("wind_dir", F.lit(0.0)))
    return tables["weather"].withColumns(
        {"wind_north": F.col("wind_speed") * F.cos(angle), "wind_east": F.col("wind_speed") * F.sin(angle)}
    )
