"""Folds are balanced, and whatever is in a name or a text, SQL takes it as it is."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.expressions import all_sql, any_sql, col, fold, literal, number, quoted

# What Spark or SQL would read as something else, were it not quoted.
NAMES = (
    "user.id",
    "a`b",
    "`",
    "a.*",
    "*",
    "select",
    "a b",
    "ü",
    "x'y\"z",
    "a,b;c",
    "{}()=",
    "100%",
    "_metadata",
    "$",
    "\\",
    "`a`.`b`",
)


def depth(tree: object) -> int:
    """How deep nested pairs are."""
    return 1 + max(map(depth, tree)) if isinstance(tree, tuple) else 0


@pytest.mark.parametrize(("values", "deep"), [(1, 0), (2, 1), (3, 2), (8, 3), (9, 4), (2000, 11)])
def test_a_fold_is_as_deep_as_the_logarithm_of_its_values(values: int, deep: int) -> None:
    assert depth(fold(lambda left, right: (left, right), range(values))) == deep  # type: ignore[arg-type, return-value]


def test_a_fold_keeps_the_order() -> None:
    assert fold(lambda left, right: left + right, "abcdefg") == "abcdefg"


def test_nothing_can_not_be_folded() -> None:
    with pytest.raises(ValueError, match="expected at least one value"):
        fold(max, [])


def test_names_and_texts_are_taken_as_they_are(spark: SparkSession) -> None:
    texts = ("it's", "\x0012", "\\", "\\'", "a\\nb", "%_", "\0", "${spark.app.name}", "\n", "", '"')
    frame = spark.range(1).select(*(F.lit(at).alias(name) for at, name in enumerate(NAMES)))
    selected = frame.select(*map(col, NAMES), *(F.expr(quoted(name)) for name in NAMES))
    assert list(selected.collect()[0]) == [*range(len(NAMES))] * 2
    assert list(spark.range(1).select(*(F.expr(literal(text)).alias("t") for text in texts)).collect()[0]) == list(texts)


def test_a_thousand_conditions_are_one_expression(spark: SparkSession) -> None:
    conditions = [f"id = {at}" for at in range(1000)]
    rows = spark.range(998, 1002).select(
        "id", F.expr(any_sql(conditions)).alias("any"), F.expr(all_sql([f"not ({each})" for each in conditions])).alias("all")
    )
    assert [tuple(row) for row in rows.orderBy("id").collect()] == [
        (998, True, False), (999, True, False), (1000, False, True), (1001, False, True),
    ]  # fmt: skip


def test_no_condition_is_false_for_any_and_true_for_all(spark: SparkSession) -> None:
    assert tuple(spark.range(1).select(F.expr(any_sql([])), F.expr(all_sql([]))).collect()[0]) == (False, True)


def test_numbers_are_written_as_they_are(spark: SparkSession) -> None:
    values = (3, 2**40, 0.1, 1e300, float("inf"), -1.5)
    assert list(spark.range(1).select(*(F.expr(number(value)).alias("n") for value in values)).collect()[0]) == list(values)
