"""A row's split by its time, where bounds belong to the later one, or by its entity."""

from datetime import date

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.config import midnight
from pipelines.stages.splits import outside_embargo, split_by_entity, split_by_time


def test_bounds_are_local_midnights(spark: SparkSession) -> None:
    zone = "America/New_York"
    times = ["2013-10-01 03:59:59", "2013-10-01 04:00:00", "2013-11-01 03:59:59", "2013-11-01 04:00:00"]
    rows = spark.createDataFrame([(time,) for time in times], "at string").select(F.col("at").cast("timestamp"))
    bounds = (midnight(date(2013, month, 1), zone) for month in (10, 11))
    assigned = [row[0] for row in rows.select(split_by_time(F.col("at"), *bounds)).collect()]
    assert assigned == ["train", "validation", "validation", "test"]


def test_all_rows_of_an_entity_are_in_one_split_and_shares_are_as_declared(spark: SparkSession) -> None:
    rows = spark.range(30_000).selectExpr("concat('N', id % 10000) AS plane", "id % 2 AS other")
    placed = rows.withColumn("split", split_by_entity(("plane",), 0.1, 0.2, seed=3)).persist()
    assert placed.groupBy("plane").agg(F.countDistinct("split").alias("splits")).where("splits > 1").count() == 0
    counts = {row.split: row["count"] / 30_000 for row in placed.groupBy("split").count().collect()}
    assert counts == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.015)
    other = rows.withColumn("split", split_by_entity(("plane",), 0.1, 0.2, seed=4))
    assert other.exceptAll(placed).count() > 0


def test_rows_without_a_key_are_one_entity(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(None,)] * 50, "plane string").select(split_by_entity(("plane",), 0.3, 0.3, seed=0))
    assert rows.distinct().count() == 1


def test_an_embargo_is_of_whole_hours_where_clocks_change(spark: SparkSession) -> None:
    bound = midnight(date(2013, 3, 11), "America/New_York")  # 4 UTC; the day before has 23 hours
    times = ["2013-03-10 03:59:59", "2013-03-10 04:00:00", "2013-03-11 03:59:59", "2013-03-11 04:00:00"]
    rows = spark.createDataFrame([(time,) for time in times], "at string").select(F.col("at").cast("timestamp"))
    split = rows.select(outside_embargo(F.lit(1), F.col("at"), [bound], 24))
    assert [row[0] for row in split.collect()] == [1, None, None, 1]
