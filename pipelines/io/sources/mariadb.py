"""The dialect of MariaDB and MySQL: text by the server's own rules, in UTC, whatever zone server and machine are in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property

from pipelines.io.sources.any_database import AnyDatabase
from pipelines.io.sources.connection import Connection
from pipelines.io.sources.database import WHOLE, Split, TextColumn, by_key, not_a_time

# Spark quotes names in double quotes for a driver that it does not know, which without ANSI_QUOTES are texts. And a reader that
# is slow for a minute must not be cut off.
SESSION = "SET SESSION time_zone = '+00:00', sql_mode = 'ANSI_QUOTES', character_set_results = utf8mb4, net_write_timeout = 600"
TEXTS = {"varchar", "tinytext", "text", "mediumtext", "longtext", "json"}
BYTES = {
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
}  # fmt: skip
INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}
TIMES = ("timestamp", "datetime", "date")


class MariaDb(AnyDatabase):
    """A table or view.

    Text is as the server writes it: whole numbers with or without a sign, a `tinyint(1)` as its number, zero dates, times
    beyond a day. A `timestamp`, which is an instant, ends with UTC's offset, a `datetime` with none; `bit` is a number, and
    bytes are hexadecimal digits.
    """

    driver = "org.mariadb.jdbc.Driver"
    properties = {"connectTimeout": "10000", "tcpKeepAlive": "true"}

    def __init__(self, connection: Connection, table: str) -> None:
        super().__init__(connection, table)
        connection.execute(SESSION)

    def quoted(self, name: str) -> str:
        """A name in backticks, as MariaDB quotes names."""
        return "`" + name.replace("`", "``") + "`"

    def columns(self) -> list[str]:
        """As the server describes the table."""
        return list(self._described)

    def texts(self, columns: list[str]) -> list[TextColumn]:
        """Each column as UTF-8 text, by its type."""
        return [TextColumn(_text(self.quoted(column), self._described[column][0]), "utf8") for column in columns]

    def since(self, watermark: str, start: datetime, end: datetime) -> str:
        """Instants are compared in UTC, other times in the zone of the bounds."""
        type_ = self._described[watermark][0]
        if type_ not in TIMES:
            raise not_a_time(self, watermark, type_, ", ".join(TIMES))
        clocks = [bound.astimezone(UTC) if type_ == "timestamp" else bound for bound in (start, end)]
        low, high = (f"TIMESTAMP'{clock:%Y-%m-%d %H:%M:%S.%f}'" for clock in clocks)
        return f"{self.quoted(watermark)} >= {low} AND {self.quoted(watermark)} < {high}"

    def split(self, condition: str, parts: int) -> Split:
        """By ranges of the primary key, if that is one column of integers."""
        keys = [(name, type_) for name, (type_, part) in self._described.items() if part == "PRI"]
        if parts == 1 or len(keys) != 1 or keys[0][1] not in INTEGERS:
            return WHOLE
        return by_key(self, self.quoted(keys[0][0]), condition, parts)

    def session(self, snapshot: str | None) -> str:
        """Statements that set the session's zone to UTC and its text to UTF-8."""
        return SESSION

    @cached_property
    def _described(self) -> dict[str, tuple[str, str]]:
        """Each column's type, without its length, and whether it is part of a key."""
        rows = self.connection.rows(f"SHOW COLUMNS FROM {self.table}")
        return {str(name): (_plain(str(type_)), str(key)) for name, type_, _, key, *_ in rows}


class MySql(MariaDb):
    """The same by MySQL's own driver, whose class users bring."""

    driver = "com.mysql.cj.jdbc.Driver"
    # Without a cursor this driver takes a whole table into memory.
    properties = {**MariaDb.properties, "useCursorFetch": "true"}


def _plain(type_: str) -> str:
    match = re.match(r"\w+", type_.lower())
    return match[0] if match else type_


def _text(column: str, type_: str) -> str:
    if type_ in TEXTS:
        return column
    if type_ in BYTES:
        return f"CONCAT(CHAR(92 USING utf8mb4), 'x', HEX({column}))"
    written = f"CAST({column} AS CHAR)"
    match type_:
        case "char" | "enum" | "set":
            # Spark would pad what the driver calls CHAR, which it can't do to bytes.
            written = f"CONVERT({column} USING utf8mb4)"
        case "bit":
            written = f"CAST(CAST({column} AS UNSIGNED) AS CHAR)"
        case "float":
            # The server writes six digits of nine.
            written = f"IF(CAST({written} AS FLOAT) = {column}, {written}, CAST(CAST({column} AS DOUBLE) AS CHAR))"
        case "timestamp":
            written = f"IF(YEAR({column}) = 0, {written}, CONCAT({written}, '+00:00'))"
    return written
