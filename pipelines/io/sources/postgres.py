"""What PostgreSQL offers a reader: text by its own rules, ranges of blocks, one snapshot for many connections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from pipelines.errors import ConfigError
from pipelines.io.sources.connection import Connection
from pipelines.io.sources.database import WHOLE, Database, Split, TextColumn, between, by_key, literal, not_a_time

SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'postgres'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 3",
)
TRANSACTION = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# The source would take what the driver is sent in binary form for text.
NEVER = re.compile(r"[?&](binaryTransfer(Enable)?)=", re.IGNORECASE)
# Not asked for by the user: a server that is gone without a word must not be waited for for ever.
PROPERTIES = {"connectTimeout": "10", "tcpKeepAlive": "true", "ApplicationName": "ringmill", "binaryTransfer": "false"}
STORED = {"r", "m", "p"}  # tables, materialized views, partitioned tables
LOCKABLE = {"r", "p", "v"}
TIMES = {"timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp", "date": "timestamp"}
# Types whose cast to text is their output function, which a cast would have the server call for nothing. So is bytea's, but its
# driver undoes that.
SHOWN = re.compile(
    r"(smallint|integer|bigint|numeric|real|double precision|text|character varying|date|timestamp|time|uuid|jsonb?)"
    r"(\(\d+(,-?\d+)?\))?( with(out)? time zone)?"
)
INTEGERS = "('int2'::regtype, 'int4'::regtype, 'int8'::regtype)"


class Postgres(Database):
    """A table, view or foreign table.

    Text is as COPY has it, but for booleans, which are true and false, and `char(n)`, which loses its padding.
    """

    driver = "org.postgresql.Driver"
    properties = PROPERTIES

    def __init__(self, connection: Connection, table: str) -> None:
        super().__init__(connection, table)
        self.oid = f"{literal(self.table)}::regclass"
        connection.execute(*SETTINGS)

    @classmethod
    def address(cls, url: str) -> str:
        """Raises ConfigError when the URL asks for values in binary form."""
        if match := NEVER.search(url):
            raise ConfigError(
                f"a source of kind jdbc: its url sets {match[1]}, expected not to: values are read as the server "
                f"writes them in text. Leave {match[1]} out."
            )
        return url

    def quoted(self, name: str) -> str:
        """A name in double quotes, as PostgreSQL quotes names."""
        return '"' + name.replace('"', '""') + '"'

    def columns(self) -> list[str]:
        """The names of the columns, from PostgreSQL's catalog."""
        return [name for name, _, _ in self._attributes()]

    def texts(self, columns: list[str]) -> list[TextColumn]:
        """By the type's own output function, or the cast that it has instead of one."""
        types = {name: type_ for name, type_, _ in self._attributes()}
        casts = {column: "" if SHOWN.fullmatch(types[column]) else "::text" for column in columns}
        return [TextColumn(self.quoted(column) + cast, "utf8") for column, cast in casts.items()]

    def since(self, watermark: str, start: datetime, end: datetime) -> str:
        """Raises ConfigError when the column is no time."""
        types = {name: type_ for name, type_, _ in self._attributes()}
        plain = re.sub(r"\(\d+\)", "", types[watermark])
        if plain not in TIMES:
            raise not_a_time(self, watermark, types[watermark], ", ".join(TIMES))
        low, high = (f"{literal(f'{bound:%Y-%m-%d %H:%M:%S.%f%z}')}::{TIMES[plain]}" for bound in (start, end))
        return f"{self.quoted(watermark)} >= {low} AND {self.quoted(watermark)} < {high}"

    def split(self, condition: str, parts: int) -> Split:
        """By ranges of blocks (read as such from PostgreSQL 14 on), or of an integer primary key where there are no blocks."""
        members = self._members()
        if parts == 1:
            return WHOLE
        if all(kind in STORED and method in ("heap", None) for kind, method, _ in members):
            cut_blocks = cuts([int(blocks or 0) for _, _, blocks in members], parts)
            return Split("ctid", between([f"'({block},0)'::tid" for block in cut_blocks]))
        key = self.connection.rows(
            f"SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
            f"WHERE indrelid = {self.oid} AND indisprimary AND indnatts = 1 AND atttypid IN {INTEGERS}"
        )
        return by_key(self, self.quoted(str(key[0][0])), condition, parts) if key else WHOLE

    def version(self, condition: str, watermark: str | None) -> str:
        """How many rows, and a sum over each row's state: the transaction that wrote it, or its whole text.

        Each insert or update leaves the number of its own transaction in `xmin`, and a deleted row's is missed, so no change
        keeps both. Numbers return after 2^32 transactions; that just this sum returns with them is as likely as a collision of
        the hash. Rows of a view or foreign table carry no xmin: the server hashes their text. The columns are part of it, since
        one that is added with a default changes rows without a write.
        """
        stored = all(kind in STORED and method in ("heap", None) for kind, method, _ in self._members())
        row = "xmin" if stored else "whole"
        rows = self.connection.rows(
            f"SELECT sum(n), sum(hashtextextended(row::text || ':' || n, 0)) FROM (SELECT {row}::text AS row, count(*) AS n "
            f"FROM {self.table} AS whole WHERE {condition} GROUP BY 1) AS states"
        )
        columns = ",".join(f"{name} {type_} {number}" for name, type_, number in self._attributes())
        return f"{rows[0][0] or 0}:{rows[0][1] or 0}:{columns}"

    def session(self, snapshot: str | None) -> str:
        """Text by our rules, and the transaction's snapshot."""
        shared = [f"SET TRANSACTION SNAPSHOT {literal(snapshot)}"] if snapshot else []
        return "; ".join([TRANSACTION, *shared, *SETTINGS])

    @contextmanager
    def snapshot(self) -> Iterator[str]:
        """Hold a transaction whose snapshot others can take, and the table's rows in their places meanwhile.

        The lock comes before the snapshot: what rewrites a table (CLUSTER, VACUUM FULL) has happened before it, or waits.
        """
        kind = self._members()[0][0]
        self.connection.java.setAutoCommit(False)
        self.connection.execute(TRANSACTION, "SET idle_in_transaction_session_timeout = 0")
        if kind in LOCKABLE:
            self.connection.execute(f"LOCK TABLE {self.table} IN ACCESS SHARE MODE")
        else:
            self.connection.execute(f"SELECT FROM {self.table} LIMIT 0")
        yield str(self.connection.rows("SELECT pg_export_snapshot()")[0][0])

    def _attributes(self) -> list[tuple[str, str, str]]:
        rows = self.connection.rows(
            f"SELECT attname, format_type(atttypid, atttypmod), attnum FROM pg_attribute "
            f"WHERE attrelid = {self.oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        return [(str(name), str(type_), str(number)) for name, type_, number in rows]

    def _members(self) -> list[tuple[str | None, ...]]:
        """Kind, access method and blocks of the table, then of the tables that are parts of it."""
        return self.connection.rows(
            f"WITH RECURSIVE family AS (SELECT {self.oid}::oid AS oid, 0 AS depth UNION SELECT inhrelid, depth + 1 "
            f"FROM pg_inherits JOIN family ON inhparent = family.oid) SELECT relkind, amname, "
            f"pg_relation_size(c.oid) / current_setting('block_size')::int "
            f"FROM family JOIN pg_class c USING (oid) LEFT JOIN pg_am ON pg_am.oid = relam ORDER BY depth"
        )


def cuts(sizes: list[int], parts: int) -> list[int]:
    """The block numbers that cut tables of so many blocks, laid one on another, in parts of about one size."""
    blocks, low = [], 0
    for part in range(1, parts):
        goal, high = sum(sizes) * part / parts, max(sizes)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if sum(min(size, middle) for size in sizes) >= goal else (middle + 1, high)
        blocks.append(low)
    return sorted(set(blocks) - {0})
