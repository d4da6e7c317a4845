"""SQL in a configuration: what in it would reach beyond the rows that it is about."""

from __future__ import annotations

import re

# Not parsed: text that could be such a call is refused, also where a comment or a quotation mark stands between.
JAVA = re.compile(r"\b(reflect|try_reflect|java_method)`?\s*(\(|/\*|--)", re.IGNORECASE)
NAMED = re.compile(r"\bidentifier`?\s*(\(|/\*|--)", re.IGNORECASE)


def reaches_beyond(sql: str) -> str | None:
    """Why SQL is no plain expression: it calls Java, or a setting or an environment variable stands in it; None when it is."""
    if match := JAVA.search(sql):
        return f"{match[1].lower()} calls any method of Java"
    if NAMED.search(sql):
        return "identifier() calls a function, or reads a column, whose name is put together"
    if "${" in sql:
        return "${…} would put a setting or an environment variable in its place"
    return None
