"""A JDBC connection of the driver's own, and what a database says when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from pipelines.errors import ExternalError

CAUSE = re.compile(r"(?<!Spark)(?:PSQL|SQL\w*|\w*SQL)Exception: ([^\n]*)")


class Connection:
    """A connection made as Spark's executors make theirs; rows come as text."""

    def __init__(self, spark: SparkSession, options: dict[str, str], place: str) -> None:
        jvm: Any = spark._jvm
        self.place = place
        try:
            made = jvm.org.apache.spark.sql.execution.datasources.jdbc.JDBCOptions(
                jvm.org.apache.spark.api.python.PythonUtils.toScalaMap({"dbtable": place, **options})
            )
            self.java: Any = (
                jvm.org.apache.spark.sql.jdbc.JdbcDialects.get(options["url"]).createConnectionFactory(made).apply(-1)
            )
        except (Py4JJavaError, PySparkException) as error:
            fail(error, place)

    def execute(self, *statements: str) -> None:
        """Run statements that give no rows."""
        for sql in statements:
            with self.ran(sql):
                pass

    def rows(self, sql: str) -> list[tuple[str | None, ...]]:
        """A query's few rows; raises ExternalError with the database's own words."""
        found = []
        with self.ran(sql) as statement:
            result = statement.getResultSet()
            width = range(1, result.getMetaData().getColumnCount() + 1)
            while result.next():
                found.append(tuple(result.getString(at) for at in width))
        return found

    @contextmanager
    def ran(self, sql: str) -> Iterator[Any]:
        """A Java statement that has been executed, closed at the end; raises ExternalError with the database's own words."""
        try:
            statement = self.java.createStatement()
            try:
                statement.execute(sql)
                yield statement
            finally:
                statement.close()
        except (Py4JJavaError, PySparkException) as error:
            fail(error, self.place)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.java.close()


def said_by_database(error: Exception) -> str | None:
    """What the database or its driver said when a job of Spark's failed for it; None for any other failure."""
    told = str(error)
    if not re.search(r"spark\.sql\.(execution\.datasources\.)?jdbc\.", told):
        return None
    found = CAUSE.search(told)
    return found[1].strip() if found else None


def fail(error: Exception, place: str) -> NoReturn:
    """Raise ExternalError for an error that the database or its driver caused."""
    found = CAUSE.search(str(error))
    raise ExternalError(message(found[1].strip() if found else str(error).partition("\n")[0], place)) from error


def message(told: str, place: str) -> str:
    """What happened, where, and what to do about it."""
    return (
        f"{place}: the database did not answer as expected: {told} Does it run and is it in reach, does the table exist, may "
        f"the user read it, and is the password right? Mend that, or url, table, user or password of the source; run again."
    )
