"""A contract's promises as checks of parsed rows: each a condition that is true of a broken one, and what to say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import NamedTuple

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from pipelines.stages.parsing import type_wanted
from schemas.contract import Column, Severity, Table

Fences = Mapping[str, tuple[float, float]]
SHOWN_LETTERS = 100


class Check(NamedTuple):
    """One promise: its name, what follows when it is broken, the condition that breaks it, and the message: what it says, and
    then the texts of the columns that it shows.
    """

    name: str
    severity: Severity
    broken: SparkColumn
    says: str
    shows: tuple[Column, ...] = ()

    @property
    def message(self) -> SparkColumn:
        """The message that a row which breaks it gives."""
        return F.concat(F.lit(self.says), _shown(self.shows))


def all_checks(contract: Table, fences: Fences, found: Mapping[str, SparkColumn]) -> list[Check]:
    """Every promise of a contract about a single row.

    `fences` are the fitted bounds of columns with outliers, `found` says for each reference, by name, whether the row's
    values were found. The row has the parsed columns, and beside each the text that it was read from (`text_name`).
    """
    checks = [check for column in contract.columns for check in _column_checks(column, fences)]
    for rule in contract.rules:
        name = f"rule: {rule.name}"
        checks.append(Check(name, rule.severity, ~F.expr(rule.holds), f"{name} ({rule.holds})"))
    for reference in contract.references:
        given = [F.col(name).isNotNull() for name in reference.columns]
        broken = reduce(and_, given, ~found[reference.name])
        says = f"reference: expected {reference.name}, received "
        shows = tuple(contract.column(name) for name in reference.columns)
        checks.append(Check(f"reference: {reference.name}", reference.severity, broken, says, shows))
    return checks


def findings(checks: Sequence[Check]) -> SparkColumn:
    """What the checks that a row breaks find, in their order: an array of structs of name, severity and message."""
    shown = {tuple(column.name for column in check.shows): check.shows for check in checks}
    places = {columns: place for place, columns in enumerate(shown)}
    names, severities = F.lit([check.name for check in checks]), F.lit([check.severity for check in checks])
    says = F.lit([check.says for check in checks])
    shows = F.lit([places[tuple(column.name for column in check.shows)] for check in checks])
    texts = F.array(*(_shown(columns) for columns in shown.values()))

    def finding(number: SparkColumn) -> SparkColumn:
        message = F.concat(F.get(says, number), F.get(texts, F.get(shows, number)))
        return F.struct(
            F.get(names, number).alias("name"), F.get(severities, number).alias("severity"), message.alias("message")
        )

    # By number: the code that Spark generates, and compiles for each executor, is a fraction of what whole findings take.
    numbers = F.array(*(F.when(check.broken, F.lit(number)) for number, check in enumerate(checks)))
    return F.transform(F.array_compact(numbers), finding)


def text_name(column: Column) -> str:
    """What the text of a parsed column is called."""
    return f"_text {column.name}"


def _column_checks(column: Column, fences: Fences) -> Iterable[Check]:
    value, text = F.col(f"`{column.name}`"), F.col(f"`{text_name(column)}`")
    yield _check(column, type_wanted(column), "quarantine", text.isNotNull() & value.isNull())
    if not column.nullable:
        yield _check(column, "a value", "quarantine", text.isNull())
    is_number = F.lit(True)
    if column.type in ("float", "double"):
        is_number = ~F.isnan(value)  # Spark takes NaN for greater than any number
        yield _check(column, "a finite number", "quarantine", F.isnan(value) | (F.abs(value) == float("inf")))
    if column.type == "string":
        yield _check(column, "text without NUL bytes", "quarantine", F.contains(text, F.lit("\0")))
    if column.minimum is not None:
        yield _check(column, f"at least {column.minimum:g}", column.severity, value < column.minimum)
    if column.maximum is not None:
        yield _check(column, f"at most {column.maximum:g}", column.severity, (value > column.maximum) & is_number)
    if column.allowed:
        yield _check(column, f"one of {', '.join(column.allowed)}", column.severity, ~value.isin(*column.allowed))
    if column.pattern:
        yield _check(column, f"text like {column.pattern}", column.severity, ~value.rlike(column.pattern))
    if column.outliers and column.name in fences:
        low, high = fences[column.name]
        severity: Severity = "quarantine" if column.outliers.action == "quarantine" else "warn"
        yield _check(column, f"between the fences {low:g} and {high:g}", severity, ~value.between(low, high) & is_number)


def _check(column: Column, expected: str, severity: Severity, broken: SparkColumn) -> Check:
    return Check(f"{column.name}: {expected}", severity, broken, f"{column.name}: expected {expected}, received ", (column,))


def _shown(columns: Sequence[Column]) -> SparkColumn:
    return F.concat_ws(", ", *(_shown_text(column) for column in columns))


def _shown_text(column: Column) -> SparkColumn:
    text = F.col(f"`{text_name(column)}`")
    if column.personal:
        return F.when(text.isNull(), F.lit("nothing")).otherwise(F.lit("a personal value"))
    quoted = F.concat(F.lit("'"), F.substring(text, 1, SHOWN_LETTERS), F.lit("'"))
    return F.coalesce(quoted, F.lit("nothing"))
