"""The dialect of databases that have none of their own: what JDBC and SQL have in common, and the text that drivers write."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, time, timedelta
from typing import Any

from pipelines.errors import ConfigError
from pipelines.io.sources.database import WHOLE, Database, Split, TextColumn, by_key, literal, not_a_time
from pipelines.io.sources.database_errors import Origin

INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT"}
# Numbers of java.sql.Types.
DATE, TIMESTAMP, TIMESTAMP_WITH_ZONE = 91, 93, 2014
TEXTS = {1, 12, -1, -15, -9, -16}  # CHAR, VARCHAR, LONGVARCHAR and their national kinds
# Types whose getString is the value itself; for times Spark would ask for an instant, which depends on the machine's zone.
# Beside texts: whole and decimal numbers, floating-point numbers, DATE, TIME, TIMESTAMP, CLOB and NCLOB.
SHOWN = {*TEXTS, -6, 5, 4, -5, 2, 3, 6, 7, 8, DATE, 92, TIMESTAMP, 2005, 2011}


def quoted_by(mark: str, name: str, origin: Origin) -> str:
    """A name in quotation marks, its own ones doubled; raises ConfigError for one that needs marks, where there are none."""
    if not mark and not re.fullmatch(r"[\w$#]+", name):
        raise ConfigError(
            f"{origin.label}: the driver knows no quotation mark for names, and received '{name}'; expected letters, digits, "
            f"_, $ and # alone. Read a view with plain names, and name it in {origin.key}.table."
        )
    return mark + name.replace(mark, mark * 2) + mark if mark else name


class AnyDatabase(Database):
    """A table of a database of which only what JDBC and SQL have in common is used."""

    def quoted(self, name: str) -> str:
        """In the database's own quotes; raises ConfigError for a name that needs them where the database has none."""
        mark = str(self.connection.java.getMetaData().getIdentifierQuoteString()).strip()
        return quoted_by(mark, name, self.connection.origin)

    def columns(self) -> list[str]:
        """The names of the columns, from an empty result."""
        return list(self._types())

    def texts(self, columns: list[str]) -> list[TextColumn]:
        """Numbers, texts and times as the driver writes them; truth values, bytes and what is nested by Spark's type."""
        types = self._types()
        return [TextColumn(self.quoted(column), "string" if types[column] in SHOWN else "native") for column in columns]

    def since(self, watermark: str, start: datetime, end: datetime) -> str:
        """By JDBC's own literals for dates and timestamps, by text for texts and for times with a zone."""
        low, high = (self._bound(watermark, bound) for bound in (start, end))
        return f"{self.quoted(watermark)} >= {low} AND {self.quoted(watermark)} < {high}"

    def split(self, condition: str, parts: int) -> Split:
        """By ranges of the primary key, if that is one column of integers."""
        key = self._integer_key() if parts > 1 else None
        return by_key(self, self.quoted(key), condition, parts) if key else WHOLE

    def version(self, condition: str, watermark: str | None) -> str:
        """Count and greatest watermark, which miss a change that keeps both; without watermark always another."""
        if watermark is None:
            return uuid.uuid4().hex
        rows = self.connection.rows(f"SELECT count(*), max({self.quoted(watermark)}) FROM {self.table} WHERE {condition}")
        return f"{rows[0][0]}:{rows[0][1]}"

    def _types(self) -> dict[str, int]:
        """The number that java.sql.Types has for each column's type, in the table's order."""
        with self.connection.executed(f"SELECT * FROM {self.table} WHERE 1=0") as statement:
            described = statement.getResultSet().getMetaData()
            numbers = range(1, described.getColumnCount() + 1)
            return {str(described.getColumnLabel(number)): int(described.getColumnType(number)) for number in numbers}

    def _bound(self, watermark: str, bound: datetime) -> str:
        type_, clock = self._types()[watermark], bound.replace(tzinfo=None)
        if type_ == DATE:
            # A date is its midnight: the first one that is not before the bound.
            return f"{{d '{clock.date() + timedelta(days=clock.time() > time())}'}}"
        if type_ == TIMESTAMP:
            return f"{{ts '{clock:%Y-%m-%d %H:%M:%S.%f}'}}"
        if type_ in {*TEXTS, TIMESTAMP_WITH_ZONE}:
            return literal((clock if type_ in TEXTS else bound).isoformat(" "))
        raise not_a_time(self, watermark, f"of JDBC type {type_}", "date, timestamp or text")

    def _integer_key(self) -> str | None:
        schema, _, table = self.name.rpartition(".")
        java: Any = self.connection.java
        catalog, default = self.connection.namespace()
        where = (catalog, schema or default, table)
        names = _values(java.getMetaData().getPrimaryKeys(*where), "COLUMN_NAME")
        types = _values(java.getMetaData().getColumns(*where, names[0]), "TYPE_NAME") if len(names) == 1 else []
        return names[0] if types and types[0].upper() in INTEGERS else None


def _values(result: Any, column: str) -> list[str]:
    values = []
    while result.next():
        values.append(str(result.getString(column)))
    result.close()
    return values
