"""Database tables by JDBC as a source: several connections that see one state of the table, text as the database writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import Interval
from pipelines.errors import ConfigError, ExternalError, RingmillError
from pipelines.io.connection import Connection, fail, message, said_by_database
from pipelines.io.database import KEY, AnyDatabase, Database, Split
from pipelines.io.postgres import NEVER, PROPERTIES, Postgres
from pipelines.io.source import Source, as_text, received
from pipelines.io.variables import expanded, variable
from schemas.contract import Table

DRIVERS = {"postgresql": "org.postgresql.Driver", "sqlite": "org.sqlite.JDBC"}
SELF = "a source of kind jdbc"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _span(value: object) -> object:
    """`90m`, `2h` or `1d` as a timedelta; anything else as it is."""
    found = re.fullmatch(r"(\d+)\s*([smhdw])", value) if isinstance(value, str) else None
    return timedelta(**{UNITS[found[2]]: int(found[1])}) if found else value


def _without_secret(value: str) -> str:
    if re.search(r"[?&;](user|password)=|//[^/]*@", value, re.IGNORECASE):
        # Not a ValueError: pydantic's report of one would show the address, secret and all.
        raise ConfigError(
            f"{SELF}: its url holds a user or a password. Move them to `user`, and to the environment variable "
            "that `password` names."
        )
    return value


class JdbcTable(Source):
    """A table or view of a database.

    `url` may hold `${NAME}` for an environment variable; `password` is the name of one. With a `watermark`, a column of times,
    a run is given the rows from its interval's start less `lookback` up to its end, and never those where the column is null;
    without one, all rows. Up to `connections` read at once, `fetch_rows` rows at a time. Of PostgreSQL all see one snapshot;
    of another database each sees what is there when it asks, since JDBC knows nothing that binds them.
    """

    kind: Literal["jdbc"]
    url: Annotated[str, Field(pattern="^jdbc:"), AfterValidator(_without_secret)]
    table: Annotated[str, Field(min_length=1)]
    user: str | None = None
    password: str | None = None
    driver: str | None = None
    watermark: str | None = None
    lookback: Annotated[timedelta, BeforeValidator(_span), Field(ge=timedelta(0))] = timedelta(0)
    connections: Annotated[int, Field(ge=1)] = 2
    fetch_rows: Annotated[int, Field(ge=1)] = 10_000

    @property
    def place(self) -> str:
        """The address and the table."""
        return f"{re.split('[?;]', expanded(self.url, SELF), maxsplit=1)[0]} {self.table}"

    @property
    def sliced(self) -> bool:
        """Whether there is a watermark."""
        return self.watermark is not None

    def version(self, spark: SparkSession, contract: Table, interval: Interval) -> str:
        """What the database can tell of the interval's rows, as `Database.version` says."""
        with self._connected(spark) as connection:
            database = self._database(connection)
            return database.version(self._condition(database, contract, interval), self.watermark)

    def read(self, spark: SparkSession, contract: Table, interval: Interval) -> DataFrame:
        """The interval's rows by one connection, in the state in which the table is when they are used."""
        with self._connected(spark) as connection:
            return self._rows(spark, contract, interval, self._database(connection), None, 1)

    @contextmanager
    def reading(self, spark: SparkSession, contract: Table, interval: Interval) -> Iterator[DataFrame]:
        """The interval's rows by several connections, in the state in which the table is now."""
        with self._connected(spark) as connection:
            database = self._database(connection)
            with database.snapshot() as snapshot:
                yield self._rows(spark, contract, interval, database, snapshot, self.connections)

    def explain(self, error: Exception, contract: Table) -> RingmillError | None:
        """What the database said when it failed a job of Spark's."""
        told = said_by_database(error)
        return ExternalError(f"source {contract.name}: {message(told, self.place)} No table was changed.") if told else None

    def _rows(
        self, spark: SparkSession, contract: Table, interval: Interval, database: Database, snapshot: str | None, parts: int
    ) -> DataFrame:
        columns = database.columns()
        fields = self.renamed(columns, contract)
        self.check_fields(self.place, fields, contract)
        condition = self._condition(database, contract, interval)
        split = database.split(condition, parts)
        # By position: Spark takes neither every name nor two that differ in case alone.
        wanted = {f"f{at}": name for at, name in enumerate(fields) if self.drift == "add" or name in contract.column_names}
        texts = database.texts([columns[int(alias[1:])] for alias in wanted])
        selected = {alias: f"{text} AS {alias}" for alias, text in zip(wanted, texts, strict=True)}
        frame = self._frame(spark, database, selected, condition, split, snapshot)
        # The server's bytes as they are: a string of Java's would have them decoded and encoded again.
        shown = (lambda field: F.col(field.name).cast("string")) if database.as_text else as_text
        found = {wanted[field.name]: shown(field) for field in frame.schema if field.name in wanted}
        unknown = [part for name, text in found.items() if name not in contract.column_names for part in (F.lit(name), text)]
        extra = F.create_map(*unknown) if unknown else None
        return received(frame, contract, found, extra=extra, place=F.lit(self.place))

    def _frame(
        self,
        spark: SparkSession,
        database: Database,
        selected: dict[str, str],
        condition: str,
        split: Split,
        snapshot: str | None,
    ) -> DataFrame:
        key = [f"{split.key} AS {KEY}"] if split.key else []
        query = f"(SELECT {', '.join([*selected.values(), *key])} FROM {database.table} WHERE {condition}) ringmill"
        options = {**self._options(), "fetchsize": str(self.fetch_rows)}
        if database.as_text:
            options["customSchema"] = ", ".join(f"{alias} BINARY" for alias in selected)
        if session := database.session(snapshot):
            options["sessionInitStatement"] = session
        try:
            return spark.read.jdbc(options.pop("url"), query, predicates=list(split.conditions), properties=options)
        except PySparkException as error:
            fail(error, self.place)

    def _connected(self, spark: SparkSession) -> Connection:
        return Connection(spark, self._options(), self.place)

    def _database(self, connection: Connection) -> Database:
        return (Postgres if self.url.startswith("jdbc:postgresql:") else AnyDatabase)(connection, self.table)

    def _condition(self, database: Database, contract: Table, interval: Interval) -> str:
        if self.watermark is None:
            return "1=1"
        name = self.rename.get(self.watermark, self.watermark)
        zone = next((column.zone for column in contract.columns if column.name == name), None)
        bounds = (interval.start - self.lookback, interval.end)
        start, end = (bound.astimezone(UTC).astimezone(ZoneInfo(zone) if zone else UTC) for bound in bounds)
        return database.since(self.watermark, start, end)

    def _options(self) -> dict[str, str]:
        scheme = self.url.split(":")[1]
        driver = self.driver or DRIVERS.get(scheme)
        given = {"driver": driver, "user": self.user, "password": variable(self.password, SELF) if self.password else None}
        own = PROPERTIES if scheme == "postgresql" else {}
        url = expanded(self.url, SELF)
        if own and (found := NEVER.search(url)):
            raise ConfigError(
                f"{SELF}: its url sets {found[1]}, expected not to: values are read as the server "
                f"writes them in text. Leave {found[1]} out."
            )
        return {"url": url, **own, **{name: value for name, value in given.items() if value is not None}}
