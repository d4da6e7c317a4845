"""Columns whose bytes may be no UTF-8 text, which a database or a file without checks hands over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

NO_UTF8 = "expected UTF-8 text, received bytes that are not UTF-8, kept here as hexadecimal digits"


class InvalidText(NamedTuple):
    """A row with bytes that are not UTF-8, as JSON, and the reason. Both are null in other rows, None where all is valid."""

    line: Column | None = None
    why: Column | None = None


def not_utf8(texts: Mapping[str, Column]) -> InvalidText:
    """Rows of which one of the texts, by name, holds bytes that are not UTF-8 text."""
    if not texts:
        return InvalidText()
    valid = {name: F.is_valid_utf8(text) for name, text in texts.items()}
    invalid_names = F.concat_ws(", ", *(F.when(~valid[name], F.lit(name)) for name in texts))
    row = F.struct(*(F.when(valid[name], text).otherwise(_digits(text)).alias(name) for name, text in texts.items()))
    return InvalidText(
        F.when(invalid_names != "", F.to_json(row)), F.when(invalid_names != "", F.concat(invalid_names, F.lit(f": {NO_UTF8}")))
    )


def _digits(text: Column) -> Column:
    return F.concat(F.lit("\\x"), F.hex(text.cast("binary")))
