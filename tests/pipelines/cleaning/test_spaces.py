"""Text rules do what their names say for every kind of white space, and in every combination."""

from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning.parsing import received_text, value_of
from pipelines.cleaning.spaces import collapsed_text, trimmed_text
from schemas.contract import Column, Table

KINDS = [*"\t\n\r\x0b\x0c \x85\xa0\u1680\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff"]
NULL_TOKENS = ("", "NA", "not  known", "\xa0?")


def values(spark: SparkSession, column: Column, *texts: str) -> list[Any]:
    """What texts become in a column, one for each."""
    contract = Table("t", (column,), null_tokens=NULL_TOKENS)
    frame = spark.createDataFrame(list(enumerate(texts)), "n int, v string").coalesce(1)
    return [row.v for row in frame.select(value_of(received_text(column, contract), column).alias("v")).collect()]


def with_spaces(text: str) -> list[str]:
    """A text with each kind of white space before it, behind it, and around it."""
    return [lead + text + tail for kind in KINDS for lead, tail in ((kind, ""), ("", kind), (kind + " " + kind, kind * 2))]


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (Column("v", "string"), "a b", "a b"),
        (Column("v", "string"), "é", "é"),
        (Column("v", "string", spaces="collapse"), "a b", "a b"),
        (Column("v", "string", case="upper", aliases={"N.Y.": "JFK"}), "n.y.", "JFK"),
        (Column("v", "int"), "-7", -7),
        (Column("v", "int", spaces="keep"), "7", 7),
        (Column("v", "double", decimal=","), "1.234,5", 1234.5),
        (Column("v", "boolean"), "true", True),
        (Column("v", "string"), "NA", None),
        (Column("v", "double"), "NA", None),
        (Column("v", "string", case="lower"), "na", None),
        (Column("v", "string", spaces="keep"), "NA", None),
        (Column("v", "string"), "", None),
        (Column("v", "string"), "?", None),
    ],
)
def test_white_space_around_a_value_is_none_of_it(spark: SparkSession, column: Column, text: str, value: Any) -> None:
    texts = [text, *with_spaces(text)]
    assert values(spark, column, *texts) == [value] * len(texts)


@pytest.mark.parametrize(("form", "text"), [(None, "2013-03-10"), ("dd.MM.yyyy", "10.03.2013")])
def test_white_space_around_a_date_or_time_is_none_of_it(spark: SparkSession, form: str | None, text: str) -> None:
    texts = [text, *with_spaces(text)]
    assert {str(day) for day in values(spark, Column("v", "date", format=form), *texts)} == {"2013-03-10"}
    column = Column("v", "timestamp", zone="America/New_York")
    frame = spark.createDataFrame([(text,) for text in with_spaces("2013-03-10 12:00:00")], "v string")
    seconds = F.unix_seconds(value_of(received_text(column, Table("t", (column,))), column))
    assert {row.s for row in frame.select(seconds.alias("s")).collect()} == {1362931200}  # 16:00 UTC


def test_kept_white_space_is_kept(spark: SparkSession) -> None:
    texts = with_spaces("a  b")
    assert values(spark, Column("v", "string", spaces="keep"), *texts) == texts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a\t\xa0 \u2009b", "a b"),
        (" a\u200bb\u3000", "a b"),
        ("a \ufeff\u2060 b", "a b"),
        ("a\ufeffb\u2060c", "abc"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀 x", "👩\u200d🚀 x"),
        ("not\xa0\tknown", None),
    ],
)
def test_runs_of_white_space_collapse(spark: SparkSession, text: str, value: str | None) -> None:
    assert values(spark, Column("v", "string", spaces="collapse"), text) == [value]


def test_rules_combine(spark: SparkSession) -> None:
    column = Column("v", "string", spaces="collapse", case="lower", aliases={"new  york": "nyc", "la": "lax"})
    assert values(spark, column, "\ufeffNEW\u2009\tyork ", "La\xa0", "Not KNOWN", "b  C") == ["nyc", "lax", None, "b c"]


def test_tokens_are_compared_as_texts_are() -> None:
    assert [trimmed_text(kind + "a\xa0b" + kind) for kind in KINDS] == ["a\xa0b"] * len(KINDS)
    assert collapsed_text("\u2003a \u200b\tb\ufeff") == "a b"
