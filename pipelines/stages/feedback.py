"""Served requests beside what became of them."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def join_outcomes(tables: Mapping[str, DataFrame], parameters: Mapping[str, int | float | str]) -> DataFrame:
    """One row a served row: as it was served, and its label, which is null until its outcome is known.

    `late_minutes` is the arrival delay from which on a flight is late.
    """
    requests, outcomes = tables["requests"], tables["outcomes"]
    late = (F.col("arr_delay") > int(parameters["late_minutes"])).cast("float")
    return requests.join(outcomes, ["served_request", "served_row"], "left").withColumn("label", late)
