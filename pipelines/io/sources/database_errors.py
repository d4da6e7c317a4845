"""What a database's failure means: one sentence with the source, what was expected, and which setting to fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from py4j.protocol import Py4JError

from pipelines.errors import ConfigError, ExternalError, RingmillError

SQL_EXCEPTION = re.compile(r"(?:^|[\s.])(?!SparkSQL)\w*SQL\w*Exception: ([^\n]*)")
MISSING_DRIVER = re.compile(r"No suitable driver|ClassNotFoundException: ([\w.$]+)")


@dataclass(frozen=True)
class Origin:
    """What messages name: the source, its address and table, and the environment variable with its password."""

    source: str
    location: str
    password: str | None = None

    @property
    def label(self) -> str:
        """The beginning of each message: the source and its location."""
        return f"source {self.source}: {self.location}"

    @property
    def key(self) -> str:
        """The source's key in the configuration."""
        return f"sources.{self.source}"


class Failure(NamedTuple):
    """What a driver reports: its words, the SQLSTATE, and the vendor's own number of the error."""

    words: str
    state: str = ""
    code: int = 0

    @property
    def traits(self) -> str:
        """All three, to be matched against `MEANINGS`."""
        return f"state={self.state} code={self.code} {self.words}"


class Meaning(NamedTuple):
    """A kind of failure: how its traits look, what happened, what was expected, and how to fix it."""

    traits: str
    happened: str
    expected: str
    fix: str


# The first that matches counts. SQLSTATE classes are the standard's; the rest are the words and numbers of PostgreSQL, MariaDB
# and MySQL, SQLite, Derby, Oracle and SQL Server.
MEANINGS = (
    Meaning(
        r"pg_hba\.conf|does not support SSL|insecure transport|code=3159 ",
        "the server does not admit this connection, by its host, user or encryption",
        "a connection that the server's own rules admit",
        "Fix {key}.url (such as sslmode in it) or {key}.user, or the server's rules.",
    ),
    Meaning(
        r"could not open a JDBC connection",
        "the driver does not know such an address",
        "a driver of the database at this address",
        "Fix {key}.driver, or {key}.url.",
    ),
    Meaning(
        r"[Uu]nable to parse URL|url parsing error",
        "the address can't be read",
        "an address as the driver has it, such as jdbc:postgresql://host:5432/database",
        "Fix {key}.url.",
    ),
    Meaning(
        r"statement timeout|code=(1969|3024) ",
        "the database ended the statement at its limit of time",
        "a limit within which the table is read",
        "Raise the user's limit in the database, or read fewer rows at once: more {key}.connections, or a shorter interval.",
    ),
    Meaning(
        r"role .* (does not exist|is not permitted)",
        "the database does not know the user, or does not let it log in",
        "a user that may log in",
        "Fix {key}.user.",
    ),
    Meaning(
        r"state=28|state=08004.*(password|authentication)|ORA-01017|code=18456 ",
        "the database refused the user or the password",
        "a user that it knows, with the user's password",
        "Fix {key}.user, or {password}.",
    ),
    Meaning(
        r"state=(3D000|XJ004)|state=42000 code=(1044|1049) |code=4060 |ORA-1250[45]|ORA-12514",
        "there is no such database, or the user may not use it",
        "a database that the user may read",
        "Fix {key}.url.",
    ),
    Meaning(
        r"state=(42P01|42S02|42X05|42Y07|3F000)|no such table|ORA-00942|Invalid object name",
        "there is no such table",
        "a table or view, its name written as the database has it, its schema before it where it needs one",
        "Fix {key}.table.",
    ),
    Meaning(
        r"state=42501|state=42000 code=(1142|1143) |permission denied|ORA-01031",
        "the user may not read the table",
        "the right to select from it",
        "Grant it to the user, or fix {key}.user.",
    ),
    Meaning(
        r"SQLITE_NOTADB|SQLITE_CORRUPT",
        "the file holds no database that can be read",
        "an SQLite database",
        "Fix {key}.url, or the file.",
    ),
    Meaning(
        r"SQLITE_CANTOPEN",
        "there is no such file, or it can't be opened",
        "an SQLite database at this path, on each machine that reads it",
        "Fix {key}.url, or put the file there.",
    ),
    Meaning(
        r"SQLITE_BUSY|SQLITE_LOCKED|state=(40001|40P01|55P03|57014)|code=(1205|1213) ",
        "another user of the database holds what is needed",
        "a lock within the database's own limit of time",
        "Run again later.",
    ),
    Meaning(
        r"state=(08|57P0)|refused|timed out|[Uu]nknown ?[Hh]ost|unreachable|Communications link failure",
        "the database can't be reached, or ended the connection",
        "a running database at this address",
        "Start it, fix {key}.url, or run again.",
    ),
)
OTHER = Meaning("", "the database reported an error", "rows", "Fix what it reports, or {key}.url or .table, and run again.")


def explained(error: Exception, origin: Origin) -> RingmillError:
    """The error to raise for one that the database, its driver or Spark's JDBC raised in the driver."""
    failure = _failure(error)
    if missing := MISSING_DRIVER.search(failure.words) or MISSING_DRIVER.search(str(error)):
        named = f"the driver {missing[1]}" if missing[1] else "a driver for this address"
        return ConfigError(
            f"{origin.label}: {named} is missing; expected a jar with it among Spark's. Add the driver's Maven coordinates to "
            f"spark.jars.packages, and name its class in {origin.key}.driver."
        )
    return external(failure, origin)


def external(failure: Failure, origin: Origin) -> ExternalError:
    """One sentence of what happened, one of what to do, and the database's own words between."""
    meaning = next((known for known in MEANINGS if re.search(known.traits, failure.traits)), OTHER)
    password = f"the password in the environment variable {origin.password}" if origin.password else f"{origin.key}.password"
    fix = meaning.fix.format(key=origin.key, password=password)
    return ExternalError(f"{origin.label}: {meaning.happened} ({failure.words}); expected {meaning.expected}. {fix}")


def failed_job(error: Exception) -> Failure | None:
    """What the database or its driver reported when a job of Spark's failed for it; None for any other failure."""
    trace = str(error)
    if not re.search(r"spark\.sql\.(execution\.datasources\.)?jdbc\.", trace):
        return None
    match = SQL_EXCEPTION.search(trace)
    return Failure(match[1].strip()) if match else None


def _failure(error: Exception) -> Failure:
    """The first SQLException among an error and its causes, else the error's own first line."""
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while java is not None:
        try:
            return Failure(_line(java.getMessage()), str(java.getSQLState() or ""), int(java.getErrorCode()))
        except Py4JError:  # it is no SQLException
            java = java.getCause()
    match = SQL_EXCEPTION.search(str(error))
    return Failure(match[1].strip() if match else _line(str(error)))


def _line(text: object) -> str:
    return str(text).strip().partition("\n")[0].strip()
