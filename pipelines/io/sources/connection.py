"""A JDBC connection of the driver's own, made as Spark's executors make theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from pipelines.io.sources.database_errors import Origin, explained


class Connection:
    """A connection made as Spark's executors make theirs; rows come as text.

    Every failure is raised as `database_errors.explained` has it: ExternalError, or ConfigError where a driver is missing.
    """

    def __init__(self, spark: SparkSession, options: dict[str, str], origin: Origin) -> None:
        jvm: Any = spark._jvm
        self.origin = origin
        with self.explaining():
            jdbc_options = jvm.org.apache.spark.sql.execution.datasources.jdbc.JDBCOptions(
                jvm.org.apache.spark.api.python.PythonUtils.toScalaMap({"dbtable": origin.location, **options})
            )
            self.java: Any = (
                jvm.org.apache.spark.sql.jdbc.JdbcDialects.get(options["url"]).createConnectionFactory(jdbc_options).apply(-1)
            )

    def execute(self, *statements: str) -> None:
        """Run statements that give no rows."""
        for sql in statements:
            with self.executed(sql):
                pass

    def rows(self, sql: str) -> list[tuple[str | None, ...]]:
        """All rows of a query, which has to give few, as texts."""
        fetched = []
        with self.executed(sql) as statement:
            result = statement.getResultSet()
            columns = range(1, result.getMetaData().getColumnCount() + 1)
            while result.next():
                fetched.append(tuple(result.getString(column) for column in columns))
        return fetched

    @contextmanager
    def executed(self, sql: str) -> Iterator[Any]:
        """A Java statement that has been executed, closed at the end."""
        with self.explaining():
            statement = self.java.createStatement()
            try:
                statement.execute(sql)
                yield statement
            finally:
                statement.close()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Within it, what the database or its driver raises becomes an error of ours."""
        try:
            yield
        except (Py4JJavaError, PySparkException) as error:
            raise explained(error, self.origin) from error

    def namespace(self) -> tuple[str | None, str | None]:
        """The catalog and the schema in which tables are looked for first; None where the driver knows none."""
        try:
            return self.java.getCatalog(), self.java.getSchema()
        except Py4JError:  # a driver older than JDBC 4.1 has no schema
            return None, None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.java.close()
