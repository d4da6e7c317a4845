"""What a dialect has to know about its database: how a table is described, read as text, split and watched for changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

from pipelines.errors import ConfigError
from pipelines.io.sources.connection import Connection

KEY = "ringmill_key"


class TextColumn(NamedTuple):
    """How one column is read: an SQL expression, and the form in which the driver hands over its values.

    `utf8` are the bytes of a text as the database wrote it, `string` is the text that the driver writes, and `native` is a
    value of the type that Spark derives from the driver's, which `as_text` turns to text.
    """

    sql: str
    form: Literal["utf8", "string", "native"]


class Split(NamedTuple):
    """How a table is read by several: an expression, and a condition on it for each, of which each row meets one."""

    key: str | None
    conditions: tuple[str, ...]


WHOLE = Split(None, ("1=1",))


class Database(ABC):
    """One table, and the dialect of the database that it lies in.

    `driver` is the driver's class where users need not name it, `properties` are settings of the driver for each connection.
    `text_is_valid` says whether the database guarantees that `utf8` columns are UTF-8; else each value is checked.
    """

    driver: ClassVar[str | None] = None
    properties: ClassVar[dict[str, str]] = {}
    text_is_valid: ClassVar[bool] = True

    def __init__(self, connection: Connection, table: str) -> None:
        self.connection = connection
        self.name = table
        self.table = ".".join(self.quoted(part) for part in table.split("."))

    @classmethod
    def address(cls, url: str) -> str:
        """The URL as the driver is given it; raises ConfigError when it sets what would change how values are written."""
        return url

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A name as this database's SQL takes it, its case kept."""

    @abstractmethod
    def columns(self) -> list[str]:
        """The table's columns in order; raises ExternalError when there is no such table."""

    @abstractmethod
    def texts(self, columns: list[str]) -> list[TextColumn]:
        """How columns of the table are read as text."""

    @abstractmethod
    def since(self, watermark: str, start: datetime, end: datetime) -> str:
        """The condition that a column of times lies in [start, end); both bounds are in the zone of times without one.

        Raises ConfigError when the column holds no times, DataError when some of its values are none.
        """

    @abstractmethod
    def split(self, condition: str, parts: int) -> Split:
        """Cut the rows that meet the condition in about as many parts of about one size."""

    @abstractmethod
    def version(self, condition: str, watermark: str | None) -> str:
        """A text that changes whenever those rows may have changed; computed without moving them."""

    def session(self, snapshot: str | None) -> str | None:
        """What each connection that reads has to run first."""
        return None

    @contextmanager
    def snapshot(self) -> Iterator[str | None]:
        """Hold what other connections need to see the same rows, where the database has that."""
        yield None


def not_a_time(database: Database, watermark: str, received: str, expected: str) -> ConfigError:
    """The error of a watermark whose column holds no times."""
    origin = database.connection.origin
    return ConfigError(
        f"{origin.label}: watermark {watermark} is {received}; expected a column of type {expected}. "
        f"Name another column in {origin.key}.watermark, or leave it out."
    )


def by_key(database: Database, key: str, condition: str, parts: int) -> Split:
    """Ranges of equal width between the least and the greatest value of `key`, SQL for an integer that no row lacks."""
    low, high = database.connection.rows(f"SELECT min({key}), max({key}) FROM {database.table} WHERE {condition}")[0]
    if low is None or high is None:
        return WHOLE
    span = int(high) - int(low) + 1
    cut_keys = sorted({int(low) + span * part // parts for part in range(1, parts)} - {int(low)})
    return Split(key, between([str(value) for value in cut_keys]))


def between(cuts: list[str]) -> tuple[str, ...]:
    """Conditions on the key: below the first value, from each to the next, and from the last on."""
    if not cuts:
        return WHOLE.conditions
    middle = [f"{KEY} >= {low} AND {KEY} < {high}" for low, high in pairwise(cuts)]
    return (f"{KEY} < {cuts[0]}", *middle, f"{KEY} >= {cuts[-1]}")


def literal(text: str) -> str:
    """Text as SQL writes it, whatever the server thinks of backslashes."""
    return ("E" if "\\" in text else "") + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
