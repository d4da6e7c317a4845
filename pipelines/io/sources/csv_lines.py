"""CSV records to fields, as Spark expressions: a record that is none is kept whole, with the reason."""

from __future__ import annotations

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from pipelines.io.sources.base import NO_NUL, NO_UTF8, as_digits, without_mark
from pipelines.io.sources.csv_format import CsvFormat

ODD_QUOTES = "line: expected quotes in pairs, received an odd number"
BROKEN_QUOTES = "line: expected quotes around whole fields and doubled within, as RFC 4180 has them, received others"
AFTER_LAST = "line: expected nothing after the last separator, as in the header, received a value"
WINDOWS_1252 = (
    "\x80\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8e\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9e\x9f",
    "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ",
)
# How characters that a backslash escapes are written while a line is parsed; the mark itself first.
MARK = "\x01"
MAX_COLUMNS = 20_480  # those of Spark's parser, which fails at more


class Header(NamedTuple):
    """A header line, as text, and the names in it; `trailing` when it ends with a separator, and so do the rows below."""

    line: str
    fields: tuple[str, ...]
    trailing: bool = False

    @property
    def width(self) -> int:
        """How many fields a row has."""
        return len(self.fields) + self.trailing


def parse_records(records: DataFrame, header: Header, form: CsvFormat, encoding: str) -> DataFrame:
    """Adds to records (`value`, its bytes, and `flaw`) their text `line`, its fields as the struct `parsed`, and `why` it is no
    row. Blank ones and those that repeat the header are left out.
    """
    filled = records.withColumn("line", _text(without_mark(F.col("value")), encoding)).where(F.trim("line") != "")
    rows = filled.where(F.col("line") != header.line) if header.line else filled
    marked = rows.withColumn("marked", _marked(F.col("line"), form) if form.escape else F.col("line"))
    return marked.withColumn("parsed", _parsed(header, form)).withColumn("why", _why(header, form, encoding))


def field(form: CsvFormat, position: int) -> Column:
    """The text of a parsed row's field."""
    text = F.col(f"parsed.f{position}")
    return _unmarked(text, form) if form.escape else text


def kept_line() -> Column:
    """The line of what is no row: as text where it is, else its bytes as digits."""
    return F.when(F.is_valid_utf8("line"), F.col("line")).otherwise(as_digits("line"))


def _text(value: Column, encoding: str) -> Column:
    if encoding in ("utf-8", "utf-16"):  # UTF-16 was read as UTF-8
        return value
    latin = F.decode(value.cast("binary"), "ISO-8859-1")
    # Spark has no name for windows-1252, which is Latin-1 but for these; five bytes mean nothing in it and stay as they are.
    return latin if encoding == "iso-8859-1" else F.translate(latin, *WINDOWS_1252)


def _parsed(header: Header, form: CsvFormat) -> Column:
    # By position: names may hold what DDL and Spark's own checks do not take, or occur in the contract in another case.
    fields = [StructField(f"f{position}", StringType()) for position in range(header.width)]
    schema = StructType([*fields, StructField("broken_line", StringType())])
    max_columns = max(MAX_COLUMNS, header.width)
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "broken_line",
        "escape": '"',
        "sep": form.separator,
        "maxColumns": str(max_columns),
    }
    line = F.col("marked")
    separators = F.octet_length(line) - F.octet_length(F.replace(line, F.lit(form.separator)))
    # Few lines are long enough to hold too many fields, so the others are not searched for separators.
    fits = (F.octet_length(line) < max_columns) | (separators < max_columns * len(form.separator.encode()))
    return F.from_csv(F.when(fits, line), schema.simpleString(), options)


def _why(header: Header, form: CsvFormat, encoding: str) -> Column:
    line, quote = F.col("marked"), F.lit('"')
    quotes = F.octet_length(line) - F.octet_length(F.replace(line, quote))
    has_quotes = F.contains(line, quote)
    is_record = line.rlike(rf"\A(?s:{CsvFormat(form.separator).pattern})\z")
    count = f"line: expected {header.width} fields, received another number"
    ends = F.when(F.endswith(line, F.lit(form.separator)), F.lit(f"{count}; it ends with a separator")).otherwise(F.lit(count))
    no_text = NO_UTF8 if encoding == "utf-8" else NO_UTF8.replace("UTF-8 text", "UTF-16 text, read as UTF-8")
    why = (
        F.when(F.col("flaw").isNotNull(), F.col("flaw"))
        .when(~F.is_valid_utf8("line"), F.lit(no_text))
        .when(F.contains("line", F.lit("\0")), F.lit(NO_NUL))
        .when(has_quotes & (quotes % 2 == 1), F.lit(ODD_QUOTES))
        .when(has_quotes & ~is_record, F.lit(BROKEN_QUOTES))
        .when(F.col("parsed").isNull() | F.col("parsed.broken_line").isNotNull(), ends)
    )
    if header.trailing:
        why = why.when(F.col(f"parsed.f{header.width - 1}") != "", F.lit(AFTER_LAST))
    return why


def _marks(form: CsvFormat) -> list[tuple[str, str]]:
    """What is escaped, and how it is written meanwhile, in the order in which it is replaced."""
    return [
        (MARK, f"{MARK}0"), (r"\\", f"{MARK}1"), (r"\"", f"{MARK}2"), (f"\\{form.separator}", f"{MARK}3"),
        ("\\\n", f"{MARK}4"), ("\\\r", f"{MARK}5"),
    ]  # fmt: skip


def _marked(line: Column, form: CsvFormat) -> Column:
    replaced = line
    for escaped, mark in _marks(form):
        replaced = F.replace(replaced, F.lit(escaped), F.lit(mark))
    return F.when(F.contains(line, F.lit("\\")) | F.contains(line, F.lit(MARK)), replaced).otherwise(line)


def _unmarked(text: Column, form: CsvFormat) -> Column:
    replaced = text
    for escaped, mark in reversed(_marks(form)):
        replaced = F.replace(replaced, F.lit(mark), F.lit(escaped.removeprefix("\\") if escaped != MARK else MARK))
    return F.when(F.contains(text, F.lit(MARK)), replaced).otherwise(text)
