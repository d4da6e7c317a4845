"""Derivations of departures that lose a row, make one, or give labels that are none: what row accounting and checks are for."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from tests.departures import derive


def one_less(tables: Mapping[str, DataFrame], parameters: Mapping[str, Any]) -> DataFrame:
    """All examples but one."""
    examples = derive(tables, parameters)
    first = examples.agg(F.min(F.struct("time_hour", "carrier", "flight")).alias("first")).collect()[0]["first"]
    same = (F.col("time_hour") == F.lit(first.time_hour)) & (F.col("flight") == first.flight)
    return examples.where(~(same & (F.col("carrier") == first.carrier)))


def one_more(tables: Mapping[str, DataFrame], parameters: Mapping[str, Any]) -> DataFrame:
    """All examples, one of them twice."""
    examples = derive(tables, parameters)
    return examples.unionByName(examples.orderBy("time_hour", "flight").limit(1))


def delays(tables: Mapping[str, DataFrame], parameters: Mapping[str, Any]) -> DataFrame:
    """All examples, whose labels are no classes."""
    return derive(tables, parameters).withColumn("label", (F.col("label") + 0.5).cast("float"))


def endless(tables: Mapping[str, DataFrame], parameters: Mapping[str, Any]) -> DataFrame:
    """All examples; the parameter's column is no number where the parameter `where`, SQL, is true."""
    name = parameters["column"]
    return derive(tables, parameters).withColumn(name, F.expr(f"if({parameters['where']}, double('NaN'), {name})"))


def by_season(tables: Mapping[str, DataFrame], parameters: Mapping[str, Any]) -> DataFrame:
    """All examples, with the day of the year in the place of the seats."""
    return derive(tables, parameters).withColumn("seats", F.dayofyear("time_hour").cast("double"))


def without_seats(tables: Mapping[str, DataFrame], parameters: Mapping[str, Any]) -> DataFrame:
    """All examples, without two of their contract's columns."""
    return derive(tables, parameters).drop("distance", "seats")
