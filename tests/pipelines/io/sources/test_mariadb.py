"""MariaDB: each value lands as the server writes it, in UTC where it is an instant, whatever zone server and machine are in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.cleaning.parsing import received_text, value_of
from pipelines.errors import ConfigError, ExternalError
from pipelines.io.sources.base import Source
from schemas.contract import Column, Table
from setup.mariadb import MariaDbServer, installed, mariadb_server
from tests.databases import PAIRS, YEAR, ids_of, java_in, landed, source, texts

Make = Callable[..., Source]
VALUES = {
    "bigint unsigned": ("18446744073709551615", "18446744073709551615"),
    "bigint": ("-9223372036854775808", "-9223372036854775808"),
    "int unsigned": ("4294967295", "4294967295"),
    "int(6) zerofill": ("42", "000042"),
    "tinyint(1)": ("5", "5"),
    "boolean": ("true", "1"),
    "bit(1)": ("b'1'", "1"),
    "bit(64)": ("0xffffffffffffffff", "18446744073709551615"),
    "date": ("'0000-00-00'", "0000-00-00"),
    "datetime": ("'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    "datetime(3)": ("'2013-03-10 02:30:00.5'", "2013-03-10 02:30:00.500"),
    "timestamp null": ("'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    "timestamp(6) null": ("'2013-03-10 02:30:00.123456'", "2013-03-10 07:30:00.123456+00:00"),
    "time(3)": ("'838:59:58.5'", "838:59:58.500"),
    "time": ("'-30:00:01'", "-30:00:01"),
    "year": ("2013", "2013"),
    "json": ('\'{"b":1,  "b":2.10}\'', '{"b":1,  "b":2.10}'),
    "decimal(40,20)": ("12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567890"),
    "double": ("0.1e0 + 0.2e0", "0.30000000000000004"),
    "float": ("0.1", "0.1"),
    "float null": ("16777216", "16777216"),  # the server's own six digits are 16777200
    "varchar(20) character set utf8mb4": ("' Ä,\"\n𝄞'", ' Ä,"\n𝄞'),
    "varchar(20) character set latin1": ("'Ä'", "Ä"),
    "char(5)": ("'ab'", "ab"),
    "enum('a','ö') character set utf8mb4": ("'ö'", "ö"),
    "set('x','y')": ("'x,y'", "x,y"),
    "text": ("''", ""),
    "longtext": ("null", None),
    "varbinary(3)": ("x'00ff'", "\\x00FF"),
    "blob": ("x'5c'", "\\x5C"),
    "uuid": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "inet6": ("'::1'", "::1"),
}


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDbServer]:
    """A server whose zone is five hours behind UTC, as New York's was in March 2013."""
    if not installed() and not os.environ.get("CI"):
        pytest.skip("no MariaDB server here; setup/system.sh installs it on Debian as root")
    with mariadb_server() as server:
        yield server


@pytest.fixture
def make(mariadb: MariaDbServer, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a source over a table of the server."""
    monkeypatch.setenv("PAIRS_PASSWORD", mariadb.password)

    def _make(table: str, **settings: Any) -> Source:
        return source(table=table, **{"url": mariadb.url, "user": mariadb.user, "password": "PAIRS_PASSWORD", **settings})

    return _make


def create(mariadb: MariaDbServer, name: str, columns: str, *more: str) -> None:
    """Create a table anew and run more SQL, in no strict mode."""
    quoted = "`" + name.replace("`", "``") + "`"
    mariadb.execute(
        "; ".join(["set sql_mode = ''", f"drop table if exists {quoted}", f"create table {quoted} ({columns})", *more])
    )


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_values_land_as_the_server_writes_them(spark: SparkSession, mariadb: MariaDbServer, make: Make, zone: str) -> None:
    columns = ", ".join(f"c{at} {type_}" for at, type_ in enumerate(VALUES))
    create(mariadb, "kinds", columns, f"insert into kinds values ({', '.join(sql for sql, _ in VALUES.values())})")
    with java_in(spark, zone):
        [row] = landed(make("kinds"), spark, texts(*(f"c{at}" for at in range(len(VALUES)))))
    assert {type_: row[at] for at, type_ in enumerate(VALUES)} == {type_: text for type_, (_, text) in VALUES.items()}


def test_an_instant_is_one_and_another_time_is_in_its_columns_zone(
    spark: SparkSession, mariadb: MariaDbServer, make: Make
) -> None:
    create(mariadb, "timed", "id int, t timestamp, u datetime", "insert into timed values (1, '2013-01-01', '2013-01-01')")
    clock = [Column(name, "timestamp", zone="Asia/Tokyo") for name in ("t", "u")]
    contract = Table("timed", (Column("id", "int"), *clock))
    with java_in(spark, "Asia/Kolkata"), make("timed").reading(spark, contract, YEAR) as rows:
        [row] = rows.select(*(value_of(received_text(part, contract), part).cast("string") for part in clock)).collect()
    assert tuple(row) == ("2013-01-01 05:00:00", "2012-12-31 15:00:00")


@pytest.mark.parametrize(
    ("type_", "zone", "expected"),
    [
        ("datetime(6)", None, [2, 3, 4]),
        ("datetime(6)", "America/New_York", [1, 2, 3]),
        ("timestamp(6) null", "America/New_York", [1, 2, 3]),
        ("date", None, [2, 3, 4]),
    ],
)
def test_a_watermark_gives_the_intervals_rows(
    spark: SparkSession, mariadb: MariaDbServer, make: Make, type_: str, zone: str | None, expected: list[int]
) -> None:
    times = (
        "'2012-12-31 19:00:00'", "'2013-01-01'", "'2013-12-31 18:59:59.999999'", "'2013-12-31 19:00:00'", "'2014-01-01'",
        "null", "'0000-00-00'",
    )  # fmt: skip
    rows = ", ".join(f"({at}, {time})" for at, time in enumerate(times, 1))
    create(mariadb, "timed", f"id int, name {type_}", f"insert into timed values {rows}")
    contract = Table("pairs", (Column("id", "int"), Column("name", "timestamp", zone=zone)))
    assert ids_of(landed(make("timed", watermark="name"), spark, contract)) == expected


def test_each_row_is_read_once_by_several_connections(spark: SparkSession, mariadb: MariaDbServer, make: Make) -> None:
    big = 2**63
    create(mariadb, "Odd `table", '`I"d` bigint unsigned primary key, name text')
    mariadb.execute(f"insert into `Odd ``table` select {big} - 50 + seq, repeat('x', 100) from seq_1_to_100")
    mariadb.execute("create or replace view seen as select * from `Odd ``table`")
    for table, connections in (("Odd `table", 3), (f"{mariadb.database}.seen", 1)):
        with make(table, connections=3, fetch_rows=7, rename={'I"d': "id"}).reading(spark, PAIRS, YEAR) as rows:
            assert rows.rdd.getNumPartitions() == connections
            assert ids_of(rows.collect()) == [big - 50 + at for at in range(1, 101)]


def test_what_fails_names_the_setting_and_shows_no_password(
    spark: SparkSession, mariadb: MariaDbServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(mariadb, "timed", "id int, name text")
    monkeypatch.setenv("WRONG", "not-the-secret")
    mariadb.execute("create or replace user nobody@'127.0.0.1'; grant usage on *.* to nobody@'127.0.0.1'")
    create(mariadb, "other", "id int")
    mariadb.execute("grant select on ringmill.other to nobody@'127.0.0.1'")
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"password": "WRONG"}, ExternalError, r"refused the user or the password .* the environment variable WRONG\."),
        ({"url": mariadb.url.replace("/ringmill", "/none")}, ExternalError, r"no such database.* Fix sources\.pairs\.url\."),
        ({"table": "none"}, ExternalError, r"there is no such table .* Fix sources\.pairs\.table\."),
        ({"user": "nobody", "password": None}, ExternalError, r"may not read the table .* fix sources\.pairs\.user\."),
        ({"watermark": "name"}, ConfigError, r"watermark name is text; expected a column of type timestamp, datetime, date"),
        (
            {"url": "jdbc:mysql://127.0.0.1/x"},
            ConfigError,
            r"the driver com\.mysql\.cj\.jdbc\.Driver is missing.*jars\.packages",
        ),
        ({"url": "jdbc:other://127.0.0.1/x"}, ConfigError, r"a driver for this address is missing; .*sources\.pairs\.driver"),
    ]
    for settings, kind, message in cases:
        with pytest.raises(kind, match=message) as caught:
            landed(make(**{"table": "timed", **settings}), spark)
        assert ("password" in str(caught.value)) == ("WRONG" in message)
        assert mariadb.password not in f"{caught.value} {caught.value.__cause__}"
        assert "not-the-secret" not in f"{caught.value} {caught.value.__cause__}"
