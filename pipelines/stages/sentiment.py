"""The sentiment pipeline's own derivation: what raters took for positive."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def derive(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row a snippet; a mean rating of exactly 0 says neither."""
    rating = F.col("rating")
    return tables["snippets"].withColumn("label", F.when(rating != 0, (rating > 0).cast("float")))
