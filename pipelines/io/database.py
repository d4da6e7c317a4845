"""What a database is asked of a table before Spark reads it, and the answers that JDBC and SQL give everywhere."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from pipelines.io.connection import Connection

KEY = "ringmill_key"
INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT"}


class Split(NamedTuple):
    """How a table is read by several: an expression, and a condition on it for each, of which each row meets one."""

    key: str | None
    conditions: tuple[str, ...]


WHOLE = Split(None, ("1=1",))


class Database(ABC):
    """One table, as its kind of database lets it be described, cut and watched.

    `as_text`: whether the server is asked for text alone, which its driver hands out as the bytes that the server wrote.
    """

    as_text = False

    def __init__(self, connection: Connection, table: str) -> None:
        self.connection = connection
        self.name = table
        self.table = ".".join(self.quoted(part) for part in table.split("."))

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A name as this database's SQL takes it, its case kept."""

    @abstractmethod
    def columns(self) -> list[str]:
        """The table's columns in order; raises ExternalError when there is no such table."""

    @abstractmethod
    def texts(self, columns: list[str]) -> list[str]:
        """The expressions by which columns are selected."""

    @abstractmethod
    def since(self, watermark: str, start: datetime, end: datetime) -> str:
        """The condition that a column of times lies in [start, end); times of a column without zone are in theirs."""

    @abstractmethod
    def split(self, condition: str, parts: int) -> Split:
        """Cut the rows that meet the condition in about as many parts of about one size."""

    @abstractmethod
    def version(self, condition: str, watermark: str | None) -> str:
        """What changes whenever those rows may have, found without moving them."""

    def session(self, snapshot: str | None) -> str | None:
        """What each connection that reads has to run first."""
        return None

    @contextmanager
    def snapshot(self) -> Iterator[str | None]:
        """Hold what other connections need to see the same rows, where the database has that."""
        yield None


class AnyDatabase(Database):
    """A table of a database of which only what JDBC and SQL have in common is used."""

    def quoted(self, name: str) -> str:
        """In the database's own quotes."""
        mark = str(self.connection.java.getMetaData().getIdentifierQuoteString()).strip()
        return mark + name.replace(mark, mark * 2) + mark if mark else name

    def columns(self) -> list[str]:
        """From an empty result."""
        with self.connection.ran(f"SELECT * FROM {self.table} WHERE 1=0") as statement:
            said = statement.getResultSet().getMetaData()
            return [str(said.getColumnLabel(at + 1)) for at in range(said.getColumnCount())]

    def texts(self, columns: list[str]) -> list[str]:
        """As they are: Spark's types are turned to text."""
        return [self.quoted(column) for column in columns]

    def since(self, watermark: str, start: datetime, end: datetime) -> str:
        """The bounds are text, which databases compare with times."""
        low, high = (literal(bound.replace(tzinfo=None).isoformat(" ")) for bound in (start, end))
        return f"{self.quoted(watermark)} >= {low} AND {self.quoted(watermark)} < {high}"

    def split(self, condition: str, parts: int) -> Split:
        """By ranges of the primary key, if that is one column of integers."""
        key = self._integer_key() if parts > 1 else None
        return by_key(self, key, condition, parts) if key else WHOLE

    def version(self, condition: str, watermark: str | None) -> str:
        """Count and greatest watermark, which miss a change that keeps both; without watermark always another."""
        if watermark is None:
            return uuid.uuid4().hex
        found = self.connection.rows(f"SELECT count(*), max({self.quoted(watermark)}) FROM {self.table} WHERE {condition}")
        return f"{found[0][0]}:{found[0][1]}"

    def _integer_key(self) -> str | None:
        schema, _, table = self.name.rpartition(".")
        said: Any = self.connection.java.getMetaData()
        names = _values(said.getPrimaryKeys(None, schema or None, table), "COLUMN_NAME")
        types = _values(said.getColumns(None, schema or None, table, names[0]), "TYPE_NAME") if len(names) == 1 else []
        return names[0] if types and types[0].upper() in INTEGERS else None


def _values(result: Any, column: str) -> list[str]:
    found = []
    while result.next():
        found.append(str(result.getString(column)))
    result.close()
    return found


def by_key(database: Database, column: str, condition: str, parts: int) -> Split:
    """Ranges of equal width between the least and the greatest value of a column of integers."""
    key = database.quoted(column)
    low, high = database.connection.rows(f"SELECT min({key}), max({key}) FROM {database.table} WHERE {condition}")[0]
    if low is None or high is None:
        return WHOLE
    span = int(high) - int(low) + 1
    at = sorted({int(low) + span * part // parts for part in range(1, parts)} - {int(low)})
    return Split(key, between([str(value) for value in at]))


def between(at: list[str]) -> tuple[str, ...]:
    """Conditions on the key: below the first value, from each to the next, and from the last on."""
    if not at:
        return WHOLE.conditions
    middle = [f"{KEY} >= {low} AND {KEY} < {high}" for low, high in pairwise(at)]
    return (f"{KEY} < {at[0]}", *middle, f"{KEY} >= {at[-1]}")


def literal(text: str) -> str:
    """Text as SQL writes it, whatever the server thinks of backslashes."""
    return ("E" if "\\" in text else "") + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
