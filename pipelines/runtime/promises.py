"""What takes Spark to know of contracts: whether it can read their rules, patterns and formats. Known before anything lands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NullType

from pipelines.config import one_line
from pipelines.errors import ConfigError, DataError
from pipelines.io.tables import struct
from pipelines.runtime.context import Context
from schemas.contract import Rule, Table
from schemas.sql import choices
from schemas.vocabulary import shown

ERRORS = (PySparkException, Py4JJavaError)


def check_promises(context: Context) -> None:
    """Raise ConfigError for a rule, a pattern or a format that Spark can't read, naming it.

    Rules are analysed over no rows, all of a contract at once, and each contract once in an application.
    """
    for name in sorted(set(context.config.sources) - context.analysed):
        contract = context.config.contract(name)
        _check_patterns(context.spark, contract)
        if any(column.format for column in contract.columns):
            _check_formats(context.spark, contract)
        if contract.rules:
            _check_rules(context, contract)
        context.analysed.add(name)


def _check_patterns(spark: SparkSession, contract: Table) -> None:
    java = spark._jvm
    assert java is not None
    for column in contract.columns:
        if column.pattern is None:
            continue
        if problem := _problem_of(partial(java.java.util.regex.Pattern.compile, column.pattern)):
            raise ConfigError(
                f"contract {contract.name}: column {column.name}: pattern {shown(column.pattern)}: {problem}; expected a "
                f"regular expression as Java has it. Fix the pattern."
            )


def _check_formats(spark: SparkSession, contract: Table) -> None:
    nothing = spark.sql("SELECT '' AS written")
    for column in contract.columns:
        if column.format is None:
            continue
        if problem := _problem_of(nothing.select(F.try_to_timestamp("written", F.lit(column.format))).collect):
            raise ConfigError(
                f"contract {contract.name}: column {column.name}: format {shown(column.format)}: {problem}; expected Spark's "
                f"pattern letters, such as yyyy-MM-dd HH:mm:ss. Fix the format."
            )


def _check_rules(context: Context, contract: Table) -> None:
    # Beside the columns, as they are worked out later: an aggregate is none of a row.
    nothing = context.spark.createDataFrame([], struct(contract))
    if _problem_of(partial(_analysed, nothing, contract.rules)) is None:
        return
    for rule in contract.rules:
        if problem := _problem_of(partial(_analysed, nothing, (rule,))):
            raise ConfigError(
                f"contract {contract.name}: rule {shown(rule.name)}: Spark can't read {shown(rule.holds)}: {problem}; expected "
                f"SQL that is true of a good row, over {choices(contract.column_names)}. Fix it in {context.config.contracts}."
            )


def _analysed(nothing: DataFrame, rules: tuple[Rule, ...]) -> None:
    """Have Spark analyse rules; raises PySparkException when it can't, or one is no truth value."""
    names = {f"rule {number}": rule for number, rule in enumerate(rules)}
    frame = nothing.select("*", *(F.expr(rule.holds).alias(name) for name, rule in names.items()))
    for field in frame.schema.fields[-len(rules) :]:
        if field.dataType not in (BooleanType(), NullType()):
            raise PySparkException(f"it gives {field.dataType.simpleString()}, not true or false")


def _problem_of(work: Callable[[], object]) -> str | None:
    """What Spark or Java says against a piece of work, in one sentence; None when it does it."""
    try:
        work()
    except ERRORS as error:
        return _first_sentence(error)
    return None


def _first_sentence(error: Exception) -> str:
    """The sentence of a Spark error, without its SQL state, plan and stack."""
    text = str(error.java_exception.getMessage()) if isinstance(error, Py4JJavaError) else str(error)
    return one_line(re.split(r" SQLSTATE|;\n|\n== |\n\t|\nJVM", text.strip())[0])


@contextmanager
def rules_explained(context: Context) -> Iterator[None]:
    """Within it an error of Spark's that comes from a rule which can't be worked out for some row is a DataError, naming it."""
    try:
        yield
    except ERRORS as error:
        if explained := _explained(context, error):
            raise explained from error
        raise


def _explained(context: Context, error: Exception) -> DataError | None:
    """What to say of an error whose SQL, as Spark quotes it, is that of a rule; None when it is of none."""
    text = str(error)
    if not (quoted := re.search(r"== SQL[^\n]*==\n(.+?)\n[ -]*\^", text, re.DOTALL)):
        return None
    for name in context.config.sources:
        for rule in context.config.contract(name).rules:
            if quoted[1].strip() in rule.holds:
                matched = re.search(r"\[([A-Z_]+(?:\.[A-Z_]+)*)\] ([^\n]*)", text)
                reason = one_line(matched[2].split(" SQLSTATE")[0].split(" Use ")[0]) if matched else "Spark can't work it out"
                return DataError(
                    f"source {name}: rule {shown(rule.name)} can't be worked out for some row: {reason} ({rule.holds}). A rule "
                    f"is to be true, false or null of each row: use try_divide, try_cast or the like. No table was changed."
                )
    return None
