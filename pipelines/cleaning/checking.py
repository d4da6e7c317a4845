"""A contract's promises as checks of parsed rows: each a condition that is true of a broken one, and what to say of it.

Conditions are SQL text. Spark's parser makes an expression of thousands of them at once, where each Column that Python makes
takes several calls of Java.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from pipelines.cleaning.parsing import expected_type
from pipelines.expressions import all_sql, any_sql, col, literal, number, quoted
from schemas.contract import Column, Severity, Table
from schemas.names import internal

Fences = Mapping[str, tuple[float, float]]
SHOWN_LETTERS = 100
LARGEST = sys.float_info.max  # of double precision; what is greater is infinity
DESCRIPTIONS = "array<struct<name:string,severity:string,says:string,shows:array<struct<at:int,personal:boolean>>>>"


class Check(NamedTuple):
    """One promise: its name, what follows when it is broken, the condition that breaks it (SQL), and the message: its start,
    then the texts of the shown columns. Checks may share a shorter condition (`any_broken`, SQL) that is true where
    one of them is broken, and only there.
    """

    name: str
    severity: Severity
    broken: str
    message_start: str
    shown_columns: tuple[Column, ...] = ()
    any_broken: str | None = None

    @property
    def message(self) -> SparkColumn:
        """The message that a row which breaks it gives."""
        return F.concat(F.lit(self.message_start), _shown(self.shown_columns))


def all_checks(contract: Table, fences: Fences) -> list[Check]:
    """Every promise of a contract about a single row.

    `fences` are the fitted bounds of columns with outliers. The row has the parsed columns, beside each the text that it was
    read from (`text_name`), and by number what its rules are (`rule_name`) and whether its references are known (`known_name`).
    """
    checks = [check for column in contract.columns for check in _column_checks(column, fences)]
    for index, rule in enumerate(contract.rules):
        name = f"rule: {rule.name}"
        checks.append(Check(name, rule.severity, f"not {quoted(rule_name(index))}", f"{name} ({rule.holds})"))
    for index, reference in enumerate(contract.references):
        not_null = [f"{quoted(name)} is not null" for name in reference.columns]
        broken = all_sql([f"{quoted(known_name(index))} is null", *not_null])
        message_start = f"reference: expected {reference.name}, received "
        shown_columns = tuple(contract.column(name) for name in reference.columns)
        checks.append(Check(f"reference: {reference.name}", reference.severity, broken, message_start, shown_columns))
    return checks


def refusing_sql(checks: Sequence[Check]) -> str:
    """SQL that is true where one of the checks refuses a row; else it is false or null."""
    return any_sql(dict.fromkeys(check.any_broken or check.broken for check in checks if check.severity == "quarantine"))


def findings(checks: Sequence[Check]) -> SparkColumn:
    """What the checks that a row breaks find, in their order: an array of structs of name, severity and message."""
    shown = {column.name: column for check in checks for column in check.shown_columns}
    position = {name: index for index, name in enumerate(shown)}
    described = [
        {
            "name": check.name,
            "severity": check.severity,
            "says": check.message_start,
            "shows": [{"at": position[column.name], "personal": column.personal is not None} for column in check.shown_columns],
        }
        for check in checks
    ]
    # One text, which Spark reads once: literals for all that thousands of checks say would be most of the plan.
    descriptions = F.from_json(F.lit(json.dumps(described)), DESCRIPTIONS)
    # By number: the code that Spark generates, and compiles for each executor, is a fraction of what whole findings take.
    cases = ", ".join(f"case when {check.broken} then {index} end" for index, check in enumerate(checks))
    numbers = F.expr(f"array_compact(array({cases}))")

    def finding(index: SparkColumn, texts: SparkColumn) -> SparkColumn:
        check = F.get(descriptions, index)
        values = F.transform(check["shows"], lambda value: _shown_text(F.get(texts, value["at"]), value["personal"]))
        message = F.concat(check["says"], F.array_join(values, ", "))
        return F.struct(check["name"].alias("name"), check["severity"].alias("severity"), message.alias("message"))

    # In a list of its own the array of texts is made once a row. Where it is used it would be made for each finding.
    texts_once = F.array(F.array(*(col(text_name(column)) for column in shown.values())).cast("array<string>"))
    nested = F.transform(texts_once, lambda texts: F.transform(numbers, lambda index: finding(index, texts)))
    return F.get(nested, F.lit(0))


def text_name(column: Column) -> str:
    """What the text of a parsed column is called."""
    return internal(f"text {column.name}")


def rule_name(number: int) -> str:
    """What the column is called that has whether the contract's rule of that number holds."""
    return internal(f"rule {number}")


def known_name(number: int) -> str:
    """What the column is called that is there where what the contract's reference of that number points to is."""
    return internal(f"known {number}")


def _column_checks(column: Column, fences: Fences) -> Iterable[Check]:
    value, text = quoted(column.name), quoted(text_name(column))
    any_broken = _out_of_range(column)
    unread = _check(column, expected_type(column), "quarantine", f"{text} is not null and {value} is null")
    yield unread._replace(any_broken=any_broken)
    if not column.nullable:
        yield _check(column, "a value", "quarantine", f"{text} is null")
    is_number = "true"
    if column.type in ("float", "double"):
        is_number = f"not isnan({value})"  # Spark takes NaN for greater than any number
        broken = f"isnan({value}) or abs({value}) = {number(float('inf'))}"
        yield _check(column, "a finite number", "quarantine", broken)._replace(any_broken=any_broken)
    if column.type == "string":
        yield _check(column, "text without NUL bytes", "quarantine", f"contains({text}, {literal(chr(0))})")
    if column.minimum is not None:
        least = _check(column, f"at least {column.minimum:g}", column.severity, f"{value} < {number(column.minimum)}")
        yield least._replace(any_broken=any_broken)
    if column.maximum is not None:
        broken = f"{value} > {number(column.maximum)} and {is_number}"
        yield _check(column, f"at most {column.maximum:g}", column.severity, broken)._replace(any_broken=any_broken)
    if column.allowed:
        allowed = ", ".join(map(literal, column.allowed))
        yield _check(column, f"one of {', '.join(column.allowed)}", column.severity, f"{value} not in ({allowed})")
    if column.pattern:
        broken = f"not rlike({value}, {literal(column.pattern)})"
        yield _check(column, f"text like {column.pattern}", column.severity, broken)
    if column.outliers and column.name in fences:
        low, high = fences[column.name]
        severity: Severity = "quarantine" if column.outliers.action == "quarantine" else "warn"
        broken = f"{value} not between {number(low)} and {number(high)} and {is_number}"
        yield _check(column, f"between the fences {low:g} and {high:g}", severity, broken)


def _out_of_range(column: Column) -> str | None:
    """SQL that is true where a number can't be read, is not finite, or is beyond the column's bounds, if these refuse a row;
    None where a single check asks for that. No comparison with NaN or infinity holds but that it is greater than all.
    """
    bounded = column.severity == "quarantine"
    low, high = (bound if bounded else None for bound in (column.minimum, column.maximum))
    if column.type in ("float", "double"):
        low, high = -LARGEST if low is None else low, LARGEST if high is None else high
    value, text = quoted(column.name), quoted(text_name(column))
    within = [f"{value} >= {number(low)}"] if low is not None else []
    within += [f"{value} <= {number(high)}"] if high is not None else []
    return f"{text} is not null and not coalesce({all_sql(within)}, false)" if within else None


def _check(column: Column, expected: str, severity: Severity, broken: str) -> Check:
    return Check(f"{column.name}: {expected}", severity, broken, f"{column.name}: expected {expected}, received ", (column,))


def _shown(columns: Sequence[Column]) -> SparkColumn:
    return F.concat_ws(", ", *(_shown_text(col(text_name(column)), F.lit(column.personal is not None)) for column in columns))


def _shown_text(text: SparkColumn, personal: SparkColumn) -> SparkColumn:
    """A value's text, cut and in quotes, as a message shows it; of a personal one only that there is one."""
    quoted = F.concat(F.lit("'"), F.substring(text, 1, SHOWN_LETTERS), F.lit("'"))
    return F.when(text.isNull(), F.lit("nothing")).when(personal, F.lit("a personal value")).otherwise(quoted)
