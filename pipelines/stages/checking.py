"""A contract's promises as checks of parsed rows: each a condition that is true of a broken one, and what to say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from pipelines.stages.parsing import type_wanted
from schemas.contract import Column, Severity, Table

Fences = Mapping[str, tuple[float, float]]
TEXTS = "_text"
SHOWN_LETTERS = 100


class Check(NamedTuple):
    """One promise: its name, what follows when it is broken, the condition that breaks it, and the message."""

    name: str
    severity: Severity
    broken: SparkColumn
    message: SparkColumn


def all_checks(contract: Table, fences: Fences, found: Mapping[str, SparkColumn]) -> list[Check]:
    """Every promise of a contract about a single row.

    `fences` are the fitted bounds of columns with outliers, `found` says for each reference, by name, whether the row's
    values were found. The row has the parsed columns, and the text of each in the struct `_text`.
    """
    checks = [check for column in contract.columns for check in _column_checks(column, fences)]
    for rule in contract.rules:
        message = F.lit(f"rule: {rule.name} ({rule.holds})")
        checks.append(Check(f"rule: {rule.name}", rule.severity, ~F.expr(rule.holds), message))
    for reference in contract.references:
        values = F.concat_ws(", ", *(_shown(contract.column(name)) for name in reference.columns))
        given = [F.col(name).isNotNull() for name in reference.columns]
        broken = ~found[reference.name]
        for is_given in given:
            broken = broken & is_given
        message = F.concat(F.lit(f"reference: expected {reference.name}, received "), values)
        checks.append(Check(f"reference: {reference.name}", reference.severity, broken, message))
    return checks


def _column_checks(column: Column, fences: Fences) -> Iterable[Check]:
    value, text = F.col(f"`{column.name}`"), F.col(TEXTS).getField(column.name)
    yield _check(column, type_wanted(column), "quarantine", text.isNotNull() & value.isNull())
    if not column.nullable:
        yield _check(column, "a value", "quarantine", text.isNull())
    if column.type in ("float", "double"):
        yield _check(column, "a finite number", "quarantine", F.isnan(value) | (F.abs(value) == float("inf")))
    if column.type == "string":
        yield _check(column, "text without NUL bytes", "quarantine", F.contains(text, F.lit("\0")))
    if column.minimum is not None:
        yield _check(column, f"at least {column.minimum:g}", column.severity, value < column.minimum)
    if column.maximum is not None:
        # Spark takes NaN for greater than any number.
        above = (value > column.maximum) & ~F.isnan(value)
        yield _check(column, f"at most {column.maximum:g}", column.severity, above)
    if column.allowed:
        yield _check(column, f"one of {', '.join(column.allowed)}", column.severity, ~value.isin(*column.allowed))
    if column.pattern:
        yield _check(column, f"text like {column.pattern}", column.severity, ~value.rlike(column.pattern))
    if column.outliers and column.name in fences:
        low, high = fences[column.name]
        severity: Severity = "quarantine" if column.outliers.action == "quarantine" else "warn"
        yield _check(column, f"between the fences {low:g} and {high:g}", severity, ~value.between(low, high) & ~F.isnan(value))


def _check(column: Column, expected: str, severity: Severity, broken: SparkColumn) -> Check:
    message = F.concat(F.lit(f"{column.name}: expected {expected}, received "), _shown(column))
    return Check(f"{column.name}: {expected}", severity, broken, message)


def _shown(column: Column) -> SparkColumn:
    text = F.col(TEXTS).getField(column.name)
    if column.personal:
        return F.when(text.isNull(), F.lit("nothing")).otherwise(F.lit("a personal value"))
    quoted = F.concat(F.lit("'"), F.substring(text, 1, SHOWN_LETTERS), F.lit("'"))
    return F.coalesce(quoted, F.lit("nothing"))
