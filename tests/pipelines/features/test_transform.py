"""Fitted features applied in Spark: hand-computed values, unseen words, numbers that are none."""

import math

import pytest
from pyspark.sql import SparkSession

from pipelines.features.fitted import FittedBucketized, FittedCategorical, FittedCyclic, FittedNumeric, FittedSpec
from pipelines.features.transform import transform

ZSCORE = FittedNumeric(name="x", fill=50, clip=None, log1p=False, offset=50, scale=math.sqrt(450))
HOUR = FittedCyclic(name="hour", fill=0, period=24)
WORD = FittedCategorical(name="word", vocabulary=("b", "a"))
SPEC = FittedSpec(features=(ZSCORE, HOUR, WORD))
SCHEMA = "key int, x double, hour int, word string"


def test_values_by_hand(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, 65.0, 6, "a")], SCHEMA)
    row = transform(rows, SPEC, ("key",)).rows.collect()[0]
    assert row.x == pytest.approx(0.7071, abs=1e-4)
    assert (row.hour_sin, row.hour_cos) == (1, pytest.approx(0, abs=1e-7))
    assert (row.key, row.word) == (1, 2)


def test_missing_values_and_unseen_words(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1, None, None, None), (2, 50.0, 0, "unseen"), (3, 50.0, 0, "")], SCHEMA)
    features = transform(rows, SPEC, ("key",)).rows.orderBy("key").collect()
    assert [(row.x, row.hour_sin, row.word) for row in features] == [(0, 0, 0)] * 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300])
def test_a_number_that_is_not_finite_is_quarantined(spark: SparkSession, value: float) -> None:
    result = transform(spark.createDataFrame([(1, value, 6, "a"), (2, 50.0, 6, "a")], SCHEMA), SPEC, ("key",))
    assert [row.key for row in result.rows.collect()] == [2]
    refused = result.quarantined.collect()
    assert [list(row.reasons) for row in refused] == [["x: expected a finite number"]]
    assert '"key":1' in refused[0].raw


def test_columns_have_the_layout_of_the_feed(spark: SparkSession) -> None:
    rows = transform(spark.createDataFrame([(1, 65.0, 6, "a")], SCHEMA), SPEC, ("key",)).rows
    types = [("key", "int"), ("x", "float"), ("hour_sin", "float"), ("hour_cos", "float"), ("word", "int")]
    assert rows.dtypes == types
    assert SPEC.numbers == ("x", "hour_sin", "hour_cos")


def test_an_edge_belongs_to_the_bucket_above_it(spark: SparkSession) -> None:
    spec = FittedSpec(features=(FittedBucketized(name="x", edges=(0.0, 0.1, 10.0)),))
    values = [-1.0, 0.0, 0.1, 9.999, 10.0, float("inf"), float("-inf"), float("nan"), None]
    rows = spark.createDataFrame([(key, value, 6, "a") for key, value in enumerate(values)], SCHEMA)
    features = transform(rows, spec, ("key",)).rows
    assert features.dtypes == [("key", "int"), ("x", "int")]
    assert [row.x for row in features.orderBy("key").collect()] == [1, 2, 3, 3, 4, 4, 1, 0, 0]


def test_an_indicator_says_which_values_were_missing(spark: SparkSession) -> None:
    spec = FittedSpec(features=(ZSCORE.model_copy(update={"indicator": True}),))
    assert spec.numbers == ("x", "x_missing")
    rows = spark.createDataFrame([(1, 50.0, 6, "a"), (2, None, 6, "a")], SCHEMA)
    features = transform(rows, spec, ("key",)).rows.orderBy("key").collect()
    assert [(row.x, row.x_missing) for row in features] == [(0, 0), (0, 1)]


def test_a_large_vocabulary_is_looked_up_as_a_small_one_is(spark: SparkSession) -> None:
    words = tuple(f"word {number} é" for number in range(1000))
    spec = FittedSpec(features=(FittedCategorical(name="word", vocabulary=words),))
    known = [(key, 0.0, 0, word) for key, word in enumerate((*words, "unseen", "", None))]
    features = transform(spark.createDataFrame(known, SCHEMA), spec, ("key",)).rows.orderBy("key").collect()
    assert [row.word for row in features] == [*range(1, 1001), 0, 0, 0]


def test_a_clip_bounds_what_is_infinite_and_leaves_nan_to_be_quarantined(spark: SparkSession) -> None:
    clipped = FittedNumeric(name="x", fill=5, clip=(0, 10), log1p=False, offset=0, scale=1)
    values = [float("nan"), float("inf"), float("-inf"), None, 3.0]
    rows = spark.createDataFrame([(key, value, 6, "a") for key, value in enumerate(values)], SCHEMA)
    result = transform(rows, FittedSpec(features=(clipped,)), ("key",))
    assert {row.key: row.x for row in result.rows.collect()} == {1: 10, 2: 0, 3: 5, 4: 3}
    assert [list(row.reasons) for row in result.quarantined.collect()] == [["x: expected a finite number"]]
