"""What columns of any type are asked, and what is asked of no column as it is."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.stages.aggregates import ROWS, Asked, Question, laid_out
from tests.pipelines.stages.answered import answered


@pytest.mark.parametrize(
    "kind", ["double", "float", "bigint", "int", "smallint", "tinyint", "decimal(9,2)", "boolean", "string"]
)
def test_numbers_of_any_type_are_asked(spark: SparkSession, kind: str) -> None:
    rows = spark.sql("SELECT * FROM VALUES ('1'), ('0'), (NULL), ('1') AS t(text)").select(F.col("text").cast(kind).alias("x"))
    found = answered(rows, [Asked("f", {"": "X", "double_": F.col("x").cast("double") * 2})], F.lit("all"))["all"]
    assert found[ROWS] == 4
    answer = found["f"]
    assert (answer["present"], answer["mean"], answer["minimum"], answer["maximum"]) == (3, pytest.approx(2 / 3), 0, 1)
    assert answer["double_mean"] == pytest.approx(4 / 3)


def test_words_need_not_be_texts_and_what_is_there_may_be_worked_out(spark: SparkSession) -> None:
    rows = spark.sql("SELECT * FROM VALUES (1, 'a'), (1, NULL), (2, 'b'), (NULL, 'b') AS t(x, y)")
    asked = [Asked("x", word="x"), Asked("cut", word=F.substring("y", 1, 1)), Asked("y", there=F.nullif("y", F.lit("a")))]
    found = answered(rows, asked, F.when(F.col("y") != "none", F.lit("some")))["some"]
    assert (found["x"]["counts"], found["cut"]["counts"]) == ({"1": 1, "2": 1}, {"b": 2, "a": 1})
    assert (found["y"]["present"], found[ROWS]) == (2, 3)


def test_columns_that_are_not_there_are_named(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="the examples have no column town, year; received x"):
        laid_out(spark.sql("SELECT 1 AS x"), [Question([Asked("town", word="town"), Asked("a", {"": "X", "b": "year"})], "x")])


def test_no_rows_have_no_groups(spark: SparkSession) -> None:
    assert answered(spark.sql("SELECT 1 AS x, 'a' AS g WHERE false"), [Asked("x", {"": "x"})], "g") == {}


def test_columns_that_are_read_as_they_are_are_not_written_twice(spark: SparkSession) -> None:
    rows = spark.sql("SELECT 1.5D AS x, 'a' AS g, true AS flag")
    asked = [Asked("x", {"": "x"}), Asked("g", word="g"), Asked("f", {"": "flag"}, there="flag")]
    laid = laid_out(rows, [Question(asked, "g")])
    assert laid.columns == ["x", "g", "flag", "__asked_0_2"]
