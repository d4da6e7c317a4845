"""Rules, patterns and formats that are refused without Spark are refused by it, and those that are taken it can read."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from schemas.formats import format_problem
from schemas.patterns import pattern_problem
from schemas.sql import sql_problem

TYPES = {
    "x": "int", "y": "double", "name": "string", "flag": "boolean", "at": "timestamp", "day": "date", "end": "int",
    "words": "array<string>", "user id": "int",
}  # fmt: skip
RULES = [
    "x > 0", "X > 0 AND not(Y < 3.5e2)", "flag", "not flag", "(flag)", "(x > 0)", "null", "x is not null", "x between 1 and 2",
    "name like 'a''%' escape '!'", "name rlike r'^\\d+$'", 'name = "it\'s xx"', "name in ('a', 'b')", "`x`>`y`",
    "`user id` > 3",
    "case when x > 0 then flag else x < 3 end", "end > 3", "if(x > 0, flag, true)", "exists(words, w -> length(w) > 3)",
    "aggregate(words, 0, (total, w) -> total + length(w)) > 3", "cast(name as int) > 3", "name::int > 3",
    "day >= date'2000-01-01'",
    "at > timestamp '2000-01-01 00:00:00' - interval 3 days", "extract(dow from day) = 1", "at < current_timestamp", "1 = 1",
    "date_add(day, 3) > day", "try_divide(x, y) > 2", "words[0] = 'a' -- the first", "/* all */ x > 0",
    "trim(both ' ' from name) = 'a'",
    "coalesce(flag, false)", "x <=> end", "name || 'a' = 'ba'", "timestampdiff(hour, at, at) > 3", "name is distinct from 'a'",
]  # fmt: skip
WRONG_RULES = {
    "x > 0 and xx < 5": "names no column xx",
    "`x y` > 3": "names no column x y",
    "x > 0 and name.first > 3 or nam = 'a'": "names no column nam",
    "exists(words, w -> v = 'a')": "names no column v",
    "x + 1": "gives the result of a calculation",
    "(x * y)": "gives the result of a calculation",
    "name || 'a'": "gives the result of a calculation",
    "name": "gives name, of type string",
    "`user id`": "gives user id, of type int",
    "5": "gives the number 5",
    "'x > 3'": "gives the text 'x > 3'",
    "name = 'a": "has a quote that is not closed",
    "(x > 3": "has brackets that do not match",
    "x > 3)": "has brackets that do not match",
    " -- nothing": "is empty",
}
PATTERNS = [
    "^[A-Z]{2}$", r"^\d{1,4}$", "a++b*?c{2,}?", "[a[bc]]", "[]a]", "[^]a]", "[a-z&&[^b]]", "[a&&]", "[a-]", "[-a]", "[a-z-9]",
    "]}",
    r"(?<=a*)b", r"(?<year>\d+)-\k<year>", r"\p{Lu}\pL\P{IsGreek}", "(?i-s:x)(?u)",
    r"(\Q(\E)?", r"\Q(", r"\x41\x{1F600}\u0041\07",
    "^*", "(?=a)*", "a{1}{2}", r"\b{g}", r"\h\R\X\z", "[[:alpha:]]", r"\N{DIGIT ONE}", r"(?x) a#(", r"[\t\d\Q-]\E]", r"\_\<",
    "", "é|",
]  # fmt: skip
WRONG_PATTERNS = {
    "^(?P<a>x)$": r"has the group (?P<…",
    "(?<a_b>x)": "has the group (?<a…",
    "(?#c)a": "has the group (?#c…",
    "(?a)x": "has the group (?a)…",
    "(?(1)a|b)": "has the group (?(1…",
    "(?<a>x)(?<a>y)": "has two groups of the name a",
    r"\k<z>": "refers to a group z",
    "*a": "has a * that repeats nothing",
    "a**": "has a * that repeats nothing",
    "a|+": "has a + that repeats nothing",
    "(?": "has the group (?…",
    "a{2": "has a { that begins no count",
    "x{,3}": "has a { that begins no count",
    "{": "has a { that repeats nothing",
    "x{3,2}": "has the count {3,2}",
    "(a": "has a ( that is not closed",
    "a)": "has a ) without a (",
    "[a": "has a [ that is not closed",
    "[z-a]": "has a range of characters that does not ascend",
    r"[a-\d]": "has a range of characters that does not ascend",
    r"[\b]": r"has the escape \b",
    r"\j": r"has the escape \j",
    r"\u12": r"has an escape \u that is not whole",
    r"\x{110000}": r"has the character \x{110000}",
    "a\\": "ends in a backslash",
}
FORMATS = [
    "yyyy-MM-dd", "dd/MM/yyyy HH:mm:ss", "yyyyMMdd", "d.M.yy", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yyyy-DDD",
    "MMM d, yyyy hh:mm a",
    "yyyy-MM-dd[ HH:mm]", "HH:mm", "yyyy-MM", "G yyyy", "yyyy-MM-dd HH:mm VV", "''yyyy''", "yyyy-MM-dd z", "yyyy-LL-dd Z",
    "OOOO x",
]  # fmt: skip
WRONG_FORMATS = {
    "%d/%m/%Y": "is written in Python's letters",
    "YYYY-MM-dd": "has the letter Y (yyyy is the year)",
    "uuuu-MM-dd": "has the letter u",
    "EEE dd": "has the letter E",
    "yyyy-MM-ddd": "has d 3 times; expected 1 or 2",
    "yyyy-MM-dd'T": "has a quote that is not closed",
    "yyyy]": "closes a bracket that is not open",
    "yyyy#": "has the reserved #",
    "V": "has V 1 times; expected 2",
    "yyyy-MM-ddThh": "has the letter T",
}
MISREAD_FORMATS = {
    "yyyy-mm-dd": "has a year and a day, and no month",
    "yyyy-MM-DD": "has a day of the year (D) beside a month",
    "yyyy-MM-dd hh:mm": "has an hour of twelve (hh or KK) without a",
}


def message_of(problem: str | None) -> str:
    return problem or "nothing"


def test_rules_are_refused_as_spark_refuses_them(spark: SparkSession) -> None:
    assert {sql: sql_problem(sql, TYPES, truth=True) for sql in RULES} == dict.fromkeys(RULES)
    for sql, problem in WRONG_RULES.items():
        assert message_of(sql_problem(sql, TYPES, truth=True)).startswith(problem), sql
    schema = ", ".join(f"`{name}` {type_}" for name, type_ in TYPES.items())
    nothing = spark.createDataFrame([], schema)
    kinds = {field.dataType.simpleString() for field in nothing.select(*(F.expr(sql) for sql in RULES)).schema}
    assert kinds == {"boolean", "void"}
    for sql in WRONG_RULES:
        try:
            kind = nothing.select(F.expr(sql)).schema[0].dataType.simpleString()
        except PySparkException:
            continue
        assert kind != "boolean", sql


def test_patterns_are_refused_as_java_refuses_them(spark: SparkSession) -> None:
    assert {pattern: pattern_problem(pattern) for pattern in PATTERNS} == dict.fromkeys(PATTERNS)
    compiled = spark._jvm.java.util.regex.Pattern.compile  # type: ignore[union-attr]
    for pattern in PATTERNS:
        assert compiled(pattern).pattern() == pattern
    for pattern, problem in WRONG_PATTERNS.items():
        assert message_of(pattern_problem(pattern)).startswith(problem), pattern
        with pytest.raises(PySparkException):
            compiled(pattern)


def test_formats_are_refused_as_spark_refuses_them(spark: SparkSession) -> None:
    assert {written: format_problem(written) for written in FORMATS} == dict.fromkeys(FORMATS)
    text = spark.sql("SELECT '2020-12-31' AS text")
    assert text.select(*(F.try_to_timestamp("text", F.lit(written)) for written in FORMATS)).collect()[0][0].month == 12
    for written, problem in {**WRONG_FORMATS, **MISREAD_FORMATS}.items():
        assert message_of(format_problem(written)).startswith(problem), written
    for written in list(WRONG_FORMATS)[1:]:
        with pytest.raises(PySparkException):
            text.select(F.try_to_timestamp("text", F.lit(written))).collect()


def test_a_format_by_which_spark_reads_another_time_is_refused(spark: SparkSession) -> None:
    texts = spark.sql("SELECT '2020-12-31' AS day, '2020-12-31 12:30' AS noon")
    misread = [F.try_to_timestamp("day", F.lit("yyyy-mm-dd")), F.try_to_timestamp("noon", F.lit("yyyy-MM-dd hh:mm"))]
    row = texts.select(*(F.date_format(value, "yyyy-MM-dd HH:mm") for value in misread)).collect()[0]
    assert tuple(row) == ("2020-01-31 00:12", "2020-12-31 00:30")  # neither is what is written


def test_of_very_many_columns_a_message_names_the_nearest() -> None:
    types = {f"column_{number}": "int" for number in range(2000)}
    problem = message_of(sql_problem("colum_77 > 3", types, truth=True))
    assert "column_77," in problem
    assert "(2,000 in all)" in problem
    assert len(problem) < 200
