"""The dialect of SQLite, where each value has a type of its own, whatever its column declares."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

from pipelines.errors import DataError
from pipelines.io.sources.any_database import AnyDatabase
from pipelines.io.sources.database import WHOLE, Split, TextColumn, by_key, literal

# To read and write, not to create: a path that is wrong must not leave an empty database there.
PROPERTIES = {"open_mode": "2"}
ROW_IDS = ("rowid", "oid", "_rowid_")
DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
ZONES = ("*[Zz]", "*[+-][0-9][0-9]:[0-9][0-9]")


class Sqlite(AnyDatabase):
    """A table or view of an SQLite file.

    Text lands as it is stored, whole numbers digit by digit, other numbers with as many digits as tell them apart, bytes as
    hexadecimal digits.
    """

    driver = "org.sqlite.JDBC"
    properties = PROPERTIES
    text_is_valid = False

    @classmethod
    def address(cls, url: str) -> str:
        """With the file's absolute path: executors work in folders of their own."""
        match = re.fullmatch(r"(jdbc:sqlite:(?:file:)?+)([^:/?][^?]*)(\?.*)?", url)
        return f"{match[1]}{Path(match[2]).absolute()}{match[3] or ''}" if match and match[2] != "file:" else url

    def quoted(self, name: str) -> str:
        """A name in double quotes, as SQLite quotes names."""
        return '"' + name.replace('"', '""') + '"'

    def texts(self, columns: list[str]) -> list[TextColumn]:
        """By the type of each value.

        SQLite writes 15 digits of a number with a fraction; where these are another number, 17 are read. Beyond magnitudes
        from 1e-80 to 1e100 SQLite's own arithmetic is not exact, and the last of them may be off.
        """
        form: Literal["utf8", "string"] = "utf8" if self._encoding == "UTF-8" else "string"
        return [TextColumn(_text(self.quoted(column)), form) for column in columns]

    def since(self, watermark: str, start: datetime, end: datetime) -> str:
        """By SQLite's own reading of times in text, which a number is not: it may count seconds, milliseconds or days."""
        column = self.quoted(watermark)
        self._check_times(watermark, column)
        # An index on the text itself serves as well, a day early and late for the sake of zones.
        days = [literal(f"{bound:%Y-%m-%d}") for bound in (start - timedelta(days=2), end + timedelta(days=2))]
        zoned = " OR ".join(f"{column} GLOB '{zone}'" for zone in ZONES)
        moment = f"strftime('%Y-%m-%d %H:%M:%f', {column})"
        clock = _within(moment, start, end)
        instant = _within(moment, start.astimezone(UTC), end.astimezone(UTC))
        # A day that no month has is compared as text, and lands between its neighbours.
        inside = f"CASE WHEN {moment} IS NULL THEN {_within(column, start, end)} WHEN {zoned} THEN {instant} ELSE {clock} END"
        return f"{column} >= {days[0]} AND {column} < {days[1]} AND {inside}"

    def split(self, condition: str, parts: int) -> Split:
        """By ranges of row ids, which tables have that are not declared WITHOUT ROWID."""
        key = self._row_id() if parts > 1 else None
        return by_key(self, key, condition, parts) if key else WHOLE

    @cached_property
    def _encoding(self) -> str:
        return str(self.connection.rows("PRAGMA encoding")[0][0])

    def _check_times(self, watermark: str, column: str) -> None:
        time = f"typeof({column}) = 'text' AND {column} GLOB '{DAY}*'"
        mistyped = self.connection.rows(
            f"SELECT typeof({column}), CAST({column} AS TEXT) FROM {self.table} "
            f"WHERE {column} IS NOT NULL AND NOT ({time}) LIMIT 1"
        )
        if mistyped:
            type_, value = mistyped[0]
            raise DataError(
                f"{self.connection.origin.label}: watermark {watermark} holds {value} ({type_}); expected times in text that "
                f"SQLite reads, such as 2013-01-31 12:30:00. Read a view that has datetime({watermark}, 'unixepoch') or the "
                f"like in its place, or leave {self.connection.origin.key}.watermark out."
            )

    def _row_id(self) -> str | None:
        schema, _, table = self.name.rpartition(".")
        described = self.connection.rows(
            f"SELECT type, wr FROM pragma_table_list WHERE schema = {_same(schema or 'main')} AND name = {_same(table)}"
        )
        used = {column.lower() for column in self.columns()}
        free = [name for name in ROW_IDS if name not in used]
        return free[0] if described == [("table", "0")] and free else None


def _text(column: str) -> str:
    plain = f"CAST({column} AS TEXT)"
    real = f"CASE WHEN CAST({plain} AS REAL) = {column} THEN {plain} ELSE printf('%!.17g', {column}) END"
    return f"CASE typeof({column}) WHEN 'blob' THEN '\\x' || hex({column}) WHEN 'real' THEN {real} ELSE {plain} END"


def _within(text: str, start: datetime, end: datetime) -> str:
    """The condition that a time is in [start, end), to the millisecond that SQLite's functions know."""
    low, high = (literal(f"{bound:%Y-%m-%d %H:%M:%S.%f}"[:-3]) for bound in (start, end))
    return f"({text} >= {low} AND {text} < {high})"


def _same(name: str) -> str:
    quoted = name.replace("'", "''")
    return f"'{quoted}' COLLATE NOCASE"
