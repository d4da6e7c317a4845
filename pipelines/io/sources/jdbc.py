"""Database tables by JDBC as a source: several connections that see one state of the table, text as the database writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import Interval
from pipelines.errors import ConfigError, RingmillError
from pipelines.io.sources.addresses import checked_address
from pipelines.io.sources.base import Source, as_text, received
from pipelines.io.sources.connection import Connection
from pipelines.io.sources.database import KEY, Database, Split, TextColumn
from pipelines.io.sources.database_errors import Origin, external, failed_job
from pipelines.io.sources.dialects import dialect_of
from pipelines.io.sources.valid_text import not_utf8
from pipelines.io.variables import expanded, variable
from schemas.contract import Table
from schemas.vocabulary import zone_named

SELF = "a source of kind jdbc"
# What Spark asks the driver for, by a column's form.
TYPES = {"utf8": "BINARY", "string": "STRING"}
MOST_LOOKBACK = timedelta(days=36_600)  # a hundred years
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _span(value: object) -> object:
    """`90m`, `2h` or `1d` as a timedelta; anything else as it is. Pydantic would take a number for seconds."""
    if isinstance(value, int | float):
        raise ValueError("expected a span of time such as 90m, 2h or 1d")  # noqa: TRY004 (Pydantic reports no other)
    match = re.fullmatch(r"(\d{1,9})\s*([smhdw])", value, re.ASCII) if isinstance(value, str) else None
    return timedelta(**{UNITS[match[2]]: int(match[1])}) if match else value


def _in_bounds(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= MOST_LOOKBACK:
        raise ValueError(f"expected a span of time from 0 to {MOST_LOOKBACK.days:,} days")
    return value


TimeSpan = Annotated[
    timedelta,
    BeforeValidator(_span),
    AfterValidator(_in_bounds),
    Field(description="span of time such as 90m, 2h or 1d"),
]


def _checked(value: str) -> str:
    # Not a ValueError: pydantic's report of one would show the address, secret and all.
    return checked_address(value, SELF)


class JdbcTable(Source):
    """A table or view of a database.

    Of PostgreSQL all connections see one snapshot; of another database each sees what is there when it asks, since JDBC knows
    nothing that binds them.
    """

    kind: Literal["jdbc"]
    url: Annotated[str, Field(pattern="^jdbc:"), AfterValidator(_checked)]
    """JDBC address; `${NAME}` is an environment variable. It holds no user and no password."""
    table: Annotated[str, Field(min_length=1)]
    """Table or view, with its schema where it needs one."""
    user: str | None = None
    """User of the database. Without it the driver's own default counts."""
    password: str | None = None
    """Name of the environment variable with the password, not the password."""
    driver: str | None = None
    """Class of the JDBC driver. Without it the one that is known for the address."""
    watermark: str | None = None
    """Column of times. With it a run reads the rows of its interval, and never those where it is null; without it all rows."""
    lookback: TimeSpan = timedelta(0)
    """How far before its interval's start a run reads, for rows that came late. It counts only with `watermark`."""
    connections: Annotated[int, Field(ge=1)] = 2
    """Most connections that read at once."""
    fetch_rows: Annotated[int, Field(ge=1)] = 10_000
    """Rows that a connection fetches at a time."""

    @property
    def location(self) -> str:
        """The address, without settings, and the table."""
        return f"{re.split('[?;]', self._address, maxsplit=1)[0]} {self.table}"

    @property
    def sliced(self) -> bool:
        """Whether there is a watermark."""
        return self.watermark is not None

    def check(self, contract: Table, interval: Interval) -> None:
        """Raise ConfigError when an environment variable is not set, or the address sets what it may not."""
        key = f"sources.{contract.name}"
        expanded(self.url, f"{key}.url")
        if self.password:
            variable(self.password, f"{key}.password")
        self._options()

    def version(self, spark: SparkSession, contract: Table, interval: Interval) -> str:
        """The version of the interval's rows in the database, by `Database.version`."""
        with self._connected(spark, contract) as database:
            return database.version(self._condition(database, contract, interval), self.watermark)

    def read(self, spark: SparkSession, contract: Table, interval: Interval) -> DataFrame:
        """The interval's rows by one connection, in the state in which the table is when they are used."""
        with self._connected(spark, contract) as database:
            return self._rows(spark, contract, interval, database, None, 1)

    @contextmanager
    def reading(self, spark: SparkSession, contract: Table, interval: Interval) -> Iterator[DataFrame]:
        """The interval's rows by several connections, in the state in which the table is now."""
        with self._connected(spark, contract) as database, database.snapshot() as snapshot:
            yield self._rows(spark, contract, interval, database, snapshot, self.connections)

    def explain(self, error: Exception, contract: Table) -> RingmillError | None:
        """The database's own error when it failed a job of Spark's."""
        failure = failed_job(error)
        return external(failure, self._origin(contract)) if failure else None

    def _rows(
        self, spark: SparkSession, contract: Table, interval: Interval, database: Database, snapshot: str | None, parts: int
    ) -> DataFrame:
        columns = database.columns()
        fields = self.renamed(columns, contract)
        self.check_fields(self.location, fields, contract)
        condition = self._condition(database, contract, interval)
        split = database.split(condition, parts)
        # By position: Spark takes neither every name nor two that differ in case alone.
        names = {
            f"f{position}": name for position, name in enumerate(fields) if self.drift == "add" or name in contract.column_names
        }
        texts = dict(zip(names, database.texts([columns[int(alias[1:])] for alias in names]), strict=True))
        frame = self._frame(spark, database, texts, condition, split, snapshot)
        values = {names[alias]: _shown(frame, alias, text) for alias, text in texts.items()}
        unknown = [part for name, text in values.items() if name not in contract.column_names for part in (F.lit(name), text)]
        extra = F.create_map(*unknown) if unknown else None
        checked = [] if database.text_is_valid else [alias for alias in texts if texts[alias].form == "utf8"]
        broken, why = not_utf8({names[alias]: F.col(alias).cast("string") for alias in checked})
        return received(frame, contract, values, extra=extra, location=F.lit(self.location), broken=broken, why=why)

    def _frame(
        self,
        spark: SparkSession,
        database: Database,
        texts: dict[str, TextColumn],
        condition: str,
        split: Split,
        snapshot: str | None,
    ) -> DataFrame:
        key = [f"{split.key} AS {KEY}"] if split.key else []
        # Quoted, since databases fold names that are not to a case of their own.
        selected = [f"{text.sql} AS {database.quoted(alias)}" for alias, text in texts.items()]
        query = f"(SELECT {', '.join([*selected, *key])} FROM {database.table} WHERE {condition}) ringmill"
        options = {**self._options(), "fetchsize": str(self.fetch_rows)}
        if typed := [f"{alias} {TYPES[text.form]}" for alias, text in texts.items() if text.form in TYPES]:
            options["customSchema"] = ", ".join(typed)
        if session := database.session(snapshot):
            options["sessionInitStatement"] = session
        with database.connection.explaining():
            return spark.read.jdbc(options.pop("url"), query, predicates=list(split.conditions), properties=options)

    @contextmanager
    def _connected(self, spark: SparkSession, contract: Table) -> Iterator[Database]:
        with Connection(spark, self._options(), self._origin(contract)) as connection:
            yield dialect_of(self.url)(connection, self.table)

    def _origin(self, contract: Table) -> Origin:
        return Origin(contract.name, self.location, self.password)

    def _condition(self, database: Database, contract: Table, interval: Interval) -> str:
        if self.watermark is None:
            return "1=1"
        columns = database.columns()
        if self.watermark not in columns:
            raise ConfigError(
                f"sources.{contract.name}.watermark: {self.location} has no column '{self.watermark}'; expected one of "
                f"{', '.join(columns)}."
            )
        name = self.rename.get(self.watermark, self.watermark)
        zone = next((column.zone for column in contract.columns if column.name == name), None)
        # The calendar begins with the year 1; a zone's clock may show a day less.
        earliest = datetime(1, 1, 3, tzinfo=UTC)
        bounds = (interval.start - min(self.lookback, interval.start - earliest), interval.end)
        start, end = (bound.astimezone(UTC).astimezone(zone_named(zone) if zone else UTC) for bound in bounds)
        return database.since(self.watermark, start, end)

    @property
    def _address(self) -> str:
        """The address that the driver is given: what comes from the environment is held to the same rules."""
        return dialect_of(self.url).address(checked_address(expanded(self.url, SELF), SELF))

    def _options(self) -> dict[str, str]:
        dialect = dialect_of(self.url)
        password = variable(self.password, SELF) if self.password else None
        options = {"driver": self.driver or dialect.driver, "user": self.user, "password": password}
        present = {name: value for name, value in options.items() if value is not None}
        return {"url": self._address, **dialect.properties, **present}


def _shown(frame: DataFrame, alias: str, text: TextColumn) -> Column:
    # The server's bytes as they are: a string of Java's would have them decoded and encoded again.
    return as_text(frame.schema[alias]) if text.form == "native" else F.col(alias).cast("string")
