"""The digits pipeline's own derivation: the digit is the label."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row an image, with the digit as its label."""
    return tables["digits"].withColumn("label", F.col("digit").cast("float"))
