"""The databases that have a dialect of their own, by the scheme of their addresses. Another is a module and an entry here."""

from __future__ import annotations

import re

from pipelines.io.sources.any_database import AnyDatabase
from pipelines.io.sources.database import Database
from pipelines.io.sources.mariadb import MariaDb, MySql
from pipelines.io.sources.postgres import Postgres
from pipelines.io.sources.sqlite import Sqlite

DIALECTS: dict[str, type[Database]] = {"postgresql": Postgres, "sqlite": Sqlite, "mariadb": MariaDb, "mysql": MySql}


def dialect_of(url: str) -> type[Database]:
    """The dialect of a JDBC address; that of any database where there is no other."""
    scheme = re.match(r"jdbc:(\w+)", url)
    return DIALECTS.get(scheme[1], AnyDatabase) if scheme else AnyDatabase
