"""A database without a dialect of its own, here Derby, which Spark brings: the text that its driver writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import ConfigError, ExternalError
from schemas.contract import Column, Table
from tests.databases import PAIRS, YEAR, ids_of, java_in, landed, source, texts

Execute = Callable[..., None]
URL = "jdbc:derby:memory:ringmill"
VALUES = {
    "BIGINT": ("9223372036854775807", "9223372036854775807"),
    "DECIMAL(31,20)": ("12345678901.12345678901234567890", "12345678901.12345678901234567890"),
    "DOUBLE": ("0.1e0 + 0.2e0", "0.30000000000000004"),
    "REAL": ("1e-30", "1.0E-30"),
    "SMALLINT": ("-7", "-7"),
    "BOOLEAN": ("true", "true"),
    "VARCHAR(20)": ("' Ä,\"\n𝄞'", ' Ä,"\n𝄞'),
    "CLOB": ("'long'", "long"),
    "CHAR(3)": ("'ab'", "ab "),
    "DATE": ("'0044-03-15'", "0044-03-15"),
    "TIME": ("'01:02:03'", "01:02:03"),
    "TIMESTAMP": ("'2013-03-10 02:30:00.25'", "2013-03-10 02:30:00.25"),
    "VARCHAR(5) FOR BIT DATA": ("x'00ff'", "\\x00FF"),
    "INT": ("null", None),
}


@pytest.fixture(scope="module")
def execute(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Execute]:
    """Runs statements in a database that is in memory, and is dropped at the end."""
    java: Any = spark._jvm
    log = tmp_path_factory.mktemp("derby") / "derby.log"
    java.java.lang.System.setProperty("derby.stream.error.file", str(log))
    java.org.apache.derby.jdbc.EmbeddedDriver()
    connection = java.java.sql.DriverManager.getConnection(f"{URL};create=true")

    def _execute(*statements: str) -> None:
        for sql in statements:
            connection.createStatement().execute(sql)

    yield _execute
    connection.close()
    with pytest.raises(Exception, match="dropped"):
        java.java.sql.DriverManager.getConnection(f"{URL};drop=true")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_values_land_as_the_driver_writes_them(spark: SparkSession, execute: Execute, zone: str) -> None:
    columns = ", ".join(f'"c{at}" {type_}' for at, type_ in enumerate(VALUES))
    table = f"KINDS_{len(zone)}"
    execute(f"create table {table} ({columns})", f"insert into {table} values ({', '.join(sql for sql, _ in VALUES.values())})")
    with java_in(spark, zone):
        [row] = landed(source(URL, table), spark, texts(*(f"c{at}" for at in range(len(VALUES)))))
    assert {type_: row[at] for at, type_ in enumerate(VALUES)} == {type_: text for type_, (_, text) in VALUES.items()}


def test_java_is_in_utc_whatever_the_machines_zone(spark: SparkSession) -> None:
    # Some drivers, as Derby's, make a java.sql.Timestamp of a time, which can't be one that clocks in Java's zone skip.
    for process in ("driver", "executor"):
        assert "-Duser.timezone=UTC" in spark.conf.get(f"spark.{process}.extraJavaOptions").split()  # type: ignore[union-attr]


def test_each_row_is_read_once_by_several_connections(spark: SparkSession, execute: Execute) -> None:
    execute('create table MANY (id int primary key, "name" varchar(9))')
    execute(f"insert into MANY values {', '.join(f'({at}, null)' for at in range(100))}")
    execute("create schema OTHER", "create table OTHER.MANY (a int, b int, primary key (a, b))")
    with source(URL, "MANY", connections=3, rename={"ID": "id"}).reading(spark, PAIRS, YEAR) as rows:
        assert (rows.rdd.getNumPartitions(), ids_of(rows.collect())) == (3, list(range(100)))


@pytest.mark.parametrize(
    ("type_", "zone", "expected"),
    [
        ("timestamp", None, [2, 3, 4]),
        ("timestamp", "America/New_York", [1, 2, 3]),
        ("varchar(30)", None, [2, 3, 4]),
        ("date", None, [2, 3, 4]),
        ("date", "America/New_York", [2, 3, 4]),
    ],
)
def test_a_watermark_gives_the_intervals_rows(
    spark: SparkSession, execute: Execute, type_: str, zone: str | None, expected: list[int]
) -> None:
    times = ("2012-12-31 19:00:00", "2013-01-01 00:00:00", "2013-12-31 18:59:59", "2013-12-31 19:00:00", "2014-01-01 00:00:00")
    rows = ", ".join(f"({at}, '{time[:10] if type_ == 'date' else time}')" for at, time in enumerate(times, 1))
    table = f"TIMED_{type_[0]}_{zone is None}".upper()
    execute(f'create table {table} ("id" int, "name" {type_})', f"insert into {table} values {rows}, (9, null)")
    contract = Table("pairs", (Column("id", "int"), Column("name", "timestamp", zone=zone)))
    with java_in(spark, "Asia/Tokyo"):
        assert ids_of(landed(source(URL, table, watermark="name"), spark, contract)) == expected


def test_what_fails_names_the_setting(spark: SparkSession, execute: Execute) -> None:
    execute('create table NUMBERED ("id" int, "name" int)')
    with pytest.raises(
        ConfigError, match=r"watermark name is of JDBC type 4; expected a column of type date, timestamp or text"
    ):
        landed(source(URL, "NUMBERED", watermark="name"), spark)
    with pytest.raises(ExternalError, match=r"there is no such table \(.*\); .* Fix sources\.pairs\.table") as caught:
        landed(source(URL, "numbered"), spark)
    assert "password" not in str(caught.value)
    with pytest.raises(ExternalError, match=r"there is no such database, .* Fix sources\.pairs\.url\."):
        landed(source("jdbc:derby:memory:none", "NUMBERED"), spark)
