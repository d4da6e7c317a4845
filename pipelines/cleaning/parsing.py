"""Text as received to typed values, one column at a time. What can't be read becomes null; nothing here fails.

The session's time zone is UTC: a time that names no zone, in a column that declares none, is taken for UTC.
"""

from __future__ import annotations

import re

from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from pipelines.cleaning.spaces import collapsed, collapsed_text, is_plain, trimmed, trimmed_text
from pipelines.expressions import col
from schemas.contract import Column, Table

# Spark reads '2013', '12:30' (as today's) and '2013-01-10 and more' as timestamps or dates: here a date is whole or none.
DATE = r"^\d{4}-\d{1,2}-\d{1,2}$"
TIMESTAMP = r"^\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{1,2}(:\d{1,2}([.]\d{1,9})?)?.*)?$"
NAMES_ZONE = r":\d.*(Z|[+-]\d{1,2}(:?\d{2})?|[A-Za-z]{3,})\]?$"
ZONE_LETTERS = "VzOXxZ"
QUOTED = re.compile("'[^']*'")
OPTIONAL = re.compile(r"\[[^\[\]]*\]")
COMMA_NUMBER = r"^[+-]?(\d+|\d{1,3}([.]\d{3})+)(,\d+)?$"
CLOCK_CHANGES = ("1 hour", "30 minutes", "2 hours")  # by how much clocks anywhere are put back


def received_text(column: Column, table: Table, *, extras: bool = False) -> SparkColumn:
    """The text received for a column, spaces seen to; null for a null token.

    `extras` looks for columns that the source did not know as such among its extra fields. Null tokens are compared as the
    column's texts are: without spaces around them, collapsed where the column is, in any case where it has one.
    """
    text = col(column.name)
    if extras:
        text = F.coalesce(text, F.try_element_at("extra", F.lit(column.name)))
    tokens = sorted({_cased_text(_spaced_text(token, column), column) for token in table.null_tokens})

    def without_tokens(bare: SparkColumn, value: SparkColumn) -> SparkColumn:
        return F.when(~_cased(bare, column).isin(*tokens), value)

    if column.spaces == "collapse":
        bare = collapsed(text)
        return without_tokens(bare, bare)
    # Plain text is trimmed as it is. The test comes once: the code that Spark generates for all columns has to stay compilable.
    keeps_spaces = column.spaces == "keep" and column.type == "string"  # around a number or a time spaces say nothing
    other = trimmed(text)
    return F.when(is_plain(text), without_tokens(text, text)).otherwise(without_tokens(other, text if keeps_spaces else other))


def value_of(text: SparkColumn, column: Column) -> SparkColumn:
    """The value that a column's text stands for, in the column's own unit; null when it stands for none."""
    match column.type:
        case "string":
            value = _category(text, column)
        case "timestamp":
            value = _timestamp(text, column)
        case "date" if column.format:
            value = F.to_date(F.try_to_timestamp(text, F.lit(column.format)))
        case "date":
            value = F.when(text.rlike(DATE), text.try_cast("date"))
        case "float" | "double":
            value = _converted(_decimal(_number(text, column), column.type), column)
        case _:
            value = _number(text, column).try_cast(column.type)
    return value


def expected_type(column: Column) -> str:
    """What a column's text is expected to be, as a message says it."""
    if column.type == "timestamp" and column.zone:
        once = " once" if column.repeated_hour == "quarantine" else ""
        return f"a time that clocks in {column.zone} show{once}"
    written = f" written {column.format}" if column.format else ""
    comma = " with a decimal comma" if column.decimal == "," else ""
    return f"a value of type {column.type}{written}{comma}"


def _category(text: SparkColumn, column: Column) -> SparkColumn:
    cased = _cased(text, column)
    if not column.aliases:
        return cased
    # A name that no received text can have, since spaces or case are changed before, stands for the text that it becomes.
    spaced = {name if column.spaces == "keep" else _spaced_text(name, column): to for name, to in column.aliases.items()}
    aliases = {_cased_text(name, column): to for name, to in spaced.items()}
    names = F.create_map(*(F.lit(part) for pair in aliases.items() for part in pair))
    return F.coalesce(F.try_element_at(names, cased), cased)


def _cased(text: SparkColumn, column: Column) -> SparkColumn:
    return {"upper": F.upper(text), "lower": F.lower(text), None: text}[column.case]


def _cased_text(text: str, column: Column) -> str:
    return {"upper": text.upper(), "lower": text.lower(), None: text}[column.case]


def _spaced_text(text: str, column: Column) -> str:
    """A text of the contract with the spaces that a received one has when it is compared."""
    return collapsed_text(text) if column.spaces == "collapse" else trimmed_text(text)


def _number(text: SparkColumn, column: Column) -> SparkColumn:
    if column.decimal == ".":
        return text
    return F.when(text.rlike(COMMA_NUMBER), F.translate(text, ",.", "."))


def _decimal(text: SparkColumn, kind: str) -> SparkColumn:
    # Java, and so Spark, takes '1d', '2f' and '0x1p3' for numbers.
    is_java_literal = (
        F.right(text, F.lit(1)).isin("d", "D", "f", "F") | F.contains(text, F.lit("x")) | F.contains(text, F.lit("X"))
    )
    return F.when(~is_java_literal, text.try_cast(kind))


def _converted(value: SparkColumn, column: Column) -> SparkColumn:
    if column.received is None:
        return value
    return (value * column.received.factor + column.received.offset).cast(column.type)


def _timestamp(text: SparkColumn, column: Column) -> SparkColumn:
    if column.format:
        instant = F.try_to_timestamp(text, F.lit(column.format))
        names_zone = _names_zone(text, column.format)
    else:
        instant = F.when(text.rlike(TIMESTAMP), F.try_to_timestamp(text))
        names_zone = text.rlike(NAMES_ZONE)
    if column.zone is None:
        return instant
    return F.when(names_zone, instant).otherwise(_on_clock(instant, column.zone, column.repeated_hour))


def _names_zone(text: SparkColumn, format_: str) -> SparkColumn:
    """Whether a text in a format names its zone: by the format, or, where it may leave the zone out, by the text."""
    bare = OPTIONAL.sub(lambda part: "" if _has_zone(part[0]) else part[0], format_)
    if _has_zone(bare):
        return F.lit(True)
    return F.try_to_timestamp(text, F.lit(bare)).isNull() if bare != format_ else F.lit(False)


def _has_zone(format_: str) -> bool:
    """Whether a format has letters of a zone, or the quoted Z of UTC; what else is quoted is text."""
    return "'Z'" in format_ or any(letter in QUOTED.sub("", format_) for letter in ZONE_LETTERS)


def _on_clock(shown: SparkColumn, zone: str, repeated_hour: str) -> SparkColumn:
    """The instant at which clocks in a zone show a time; null for one that they skip."""
    first = F.to_utc_timestamp(shown, zone)  # of two, the earlier
    exists = F.from_utc_timestamp(first, zone) == shown
    candidates = [first + F.expr(f"interval {step}") for step in CLOCK_CHANGES]
    second = F.coalesce(*(F.when(F.from_utc_timestamp(later, zone) == shown, later) for later in candidates))
    if repeated_hour == "later":
        return F.when(exists, F.coalesce(second, first))
    if repeated_hour == "quarantine":
        return F.when(exists & second.isNull(), first)
    return F.when(exists, first)
