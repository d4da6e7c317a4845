"""Numbers of a JSON text as they are written there, which Spark would take for a double and write anew.

Each number is put in a string with a mark before Spark parses the text; in what Spark makes of it the marks are removed, and
with them the quotes of strings that are still within JSON. NaN, Infinity and -Infinity, which Python writes, are numbers here.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

MARK = "\x01ringmill number "
# What JSON text has for the mark's first character, in a string that was copied.
ESCAPED = f"\\u0001{MARK[1:]}"
# Most lines have whole numbers alone, which Spark copies as they are.
MAY_CHANGE = r"[0-9][.eE]|NaN|Infinity|-0(?![0-9])"
# All before a number is matched with it, so that what looks like one within a string is passed over.
# Spark takes strings in single quotes, too.
BEFORE = r"""\G((?:[^"'\-0-9NI]++|"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+')*+)"""
NUMBER = r"((?:-?(?:0|[1-9][0-9]*+)(?:[.][0-9]++)?+(?:[eE][+-]?+[0-9]++)?+|NaN|-?Infinity)(?![\w.+-]))"


def mark_numbers(text: Column) -> Column:
    """JSON text whose numbers are marked strings; what is no JSON stays none."""
    marked = F.regexp_replace(text, f"(?s){BEFORE}{NUMBER}", rf'$1"\\u0001{MARK[1:]}$2"')
    return F.when(text.rlike(MAY_CHANGE), marked).otherwise(text)


def unmark_numbers(value: Column) -> Column:
    """A value, parsed from marked JSON, as text: a number as it was written, what is nested with such numbers."""
    nested = F.regexp_replace(value, rf'"\\u0001{MARK[1:]}([^"]*)"', "$1")
    return (
        F.when(F.startswith(value, F.lit(MARK)), F.substring(value, len(MARK) + 1, (1 << 31) - 1))
        .when(F.contains(value, F.lit(ESCAPED)), nested)
        .otherwise(value)
    )
