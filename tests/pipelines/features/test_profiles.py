"""Columns of any type are profiled by name, and those that are not there are named."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.features.kinds.crossed import crossed_word
from pipelines.features.kinds.fitting import scaled_number
from pipelines.features.kinds.numeric import Numeric
from pipelines.features.kinds.statistics import ColumnProfile, Request, number, presence, word
from tests.pipelines.features.profiled import profiled


def test_numbers_of_any_type_are_profiled(spark: SparkSession) -> None:
    kinds = ("double", "float", "bigint", "int", "smallint", "tinyint", "decimal(9,2)", "boolean", "string")
    rows = spark.sql("SELECT * FROM VALUES ('1'), ('0'), (NULL), ('1') AS t(text)")
    rows = rows.select(*(F.col("text").cast(kind).alias(f"x{at}") for at, kind in enumerate(kinds)))
    requests = [each for at in range(len(kinds)) for each in (number(f"x{at}"), _logarithm(f"l{at}", f"x{at}"))]
    profiles = profiled(rows, requests, F.lit("all"))["all"]
    assert profiles.rows == 4
    for at in range(len(kinds)):
        whole = profiles.of(f"x{at}")
        assert (whole.present, whole.minimum, whole.maximum) == (3, 0, 1)
        assert whole.mean == pytest.approx(2 / 3)
        assert profiles.of(f"l{at}").mean == pytest.approx(2 / 3 * 0.6931471805599453)


def _logarithm(name: str, column: str) -> Request:
    return scaled_number(name, column, Numeric(log1p=True))


def test_words_need_not_be_texts_and_may_be_of_several_columns(spark: SparkSession) -> None:
    rows = spark.sql("SELECT * FROM VALUES (1, 'a'), (1, NULL), (2, 'b'), (NULL, 'b') AS t(x, y)")
    profiles = profiled(
        rows, [word("x"), crossed_word("both", ("x", "y")), presence("y")], F.when(F.col("y") != "none", "some")
    )
    assert profiles["some"].rows == 3
    assert (profiles["some"].of("x").counts, profiles["some"].of("both").counts) == (
        {"1": 1, "2": 1},
        {"1\x1fa": 1, "2\x1fb": 1},
    )
    assert (profiles["some"].of("y").present, profiles["some"].of("never asked")) == (3, ColumnProfile())


def test_columns_that_are_not_there_are_named(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="the examples have no column town, year; received x"):
        profiled(spark.sql("SELECT 1 AS x"), [word("town"), number("a", "x"), number("b", "year")], F.lit("all"))


def test_no_rows_have_no_groups(spark: SparkSession) -> None:
    assert profiled(spark.sql("SELECT 1 AS x, 'a' AS g WHERE false"), [number("x")], "g") == {}
