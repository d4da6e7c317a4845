"""A row's split by its time; bounds belong to the later split."""

from datetime import date

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.config import midnight
from pipelines.stages.splits import split_by_time


def test_bounds_are_local_midnights(spark: SparkSession) -> None:
    zone = "America/New_York"
    times = ["2013-10-01 03:59:59", "2013-10-01 04:00:00", "2013-11-01 03:59:59", "2013-11-01 04:00:00"]
    rows = spark.createDataFrame([(time,) for time in times], "at string").select(F.col("at").cast("timestamp"))
    bounds = (midnight(date(2013, month, 1), zone) for month in (10, 11))
    found = [row[0] for row in rows.select(split_by_time(F.col("at"), *bounds)).collect()]
    assert found == ["train", "validation", "validation", "test"]
