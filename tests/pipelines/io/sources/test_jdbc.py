"""Database tables land whole, as text, in one state, by several connections. Nothing shows the password."""

from __future__ import annotations

import io
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from pipelines.config import Interval, SourceSection
from pipelines.errors import ConfigError, DataError, ExternalError
from pipelines.io.sources.base import Source
from pipelines.io.sources.kinds import make_source
from schemas.contract import Column, Table
from setup.postgres import PostgresServer

PAIRS = Table("pairs", (Column("id", "int"), Column("name", "string")))
YEAR = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2014, 1, 1, tzinfo=UTC))
Make = Callable[..., Source]


@pytest.fixture
def make(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a source over a table of the server: `make("pairs", connections=3)`."""
    monkeypatch.setenv("PAIRS_PASSWORD", postgres.password)
    monkeypatch.setenv("PAIRS_PORT", str(postgres.port))

    def _make(table: str, **settings: Any) -> Source:
        connection = {
            "url": "jdbc:postgresql://127.0.0.1:${PAIRS_PORT}/postgres",
            "user": "postgres",
            "password": "PAIRS_PASSWORD",
        }
        return make_source("pairs", SourceSection(kind="jdbc", table=table, **{**connection, **settings}))

    return _make


def create(postgres: PostgresServer, name: str, columns: str, *more: str) -> None:
    """Make a table anew and run more SQL."""
    postgres.execute("; ".join([f"drop table if exists {name} cascade", f"create table {name} ({columns})", *more]))


def pairs(postgres: PostgresServer, name: str, rows: int) -> None:
    """A table of ids from 1 on, about 7 rows in a block, with statistics that know nothing of it."""
    create(
        postgres, name, "id int, name text", f"insert into {name} select i, repeat('x', 1000) from generate_series(1, {rows}) i"
    )


def ids(frame: DataFrame) -> list[int]:
    """The ids that were read, sorted."""
    return sorted(int(row.id) for row in frame.select("id").collect())


def landed(source: Source, spark: SparkSession, contract: Table = PAIRS, interval: Interval = YEAR) -> list[Row]:
    """The rows as they land."""
    with source.reading(spark, contract, interval) as rows:
        return rows.collect()


def test_each_row_is_read_once_by_as_many_connections_as_configured(
    spark: SparkSession, postgres: PostgresServer, make: Make
) -> None:
    pairs(postgres, "many", 1000)
    for connections in (1, 2, 3):
        with make("many", connections=connections).reading(spark, PAIRS, YEAR) as rows:
            assert rows.rdd.getNumPartitions() == connections
            assert ids(rows) == list(range(1, 1001))
            counts = [row["count"] for row in rows.groupBy(F.spark_partition_id()).count().collect()]
            assert max(counts) - min(counts) <= 20
            assert {row.source_file for row in rows.select("source_file").distinct().collect()} == {
                f"jdbc:postgresql://127.0.0.1:{postgres.port}/postgres many"
            }


def test_the_ranges_of_blocks_are_read_alone(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    pairs(postgres, "many", 1000)
    with make("many").reading(spark, PAIRS, YEAR) as rows:
        query = "select id::text f0 , ctid k from many where 1=1"
        plan = postgres.execute(f"explain select f0 from ({query}) q where k >= '(70,0)'::tid")
        assert "Tid Range Scan" in plan
        assert len(ids(rows)) == 1000


def test_an_empty_table_gives_no_rows(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    create(postgres, "nothing", "id int, name text")
    assert landed(make("nothing"), spark) == []


def test_values_land_as_the_server_writes_them(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    values = {
        "numeric": ("'NaN'", "NaN"),
        "numeric(40,20)": ("12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567890"),
        "float8": ("0.1::float8 + 0.2", "0.30000000000000004"),
        "uuid": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "jsonb": ('\'{"b": 1, "a": null}\'', '{"a": null, "b": 1}'),
        "json": ('\'{"b":1,  "b":2}\'', '{"b":1,  "b":2}'),
        "int[]": ("array[[1,2],[3,null]]", "{{1,2},{3,NULL}}"),
        "bytea": ("'\\xDEADBEEF'", "\\xdeadbeef"),
        "boolean": ("true", "true"),
        "timestamptz": ("'2013-01-01 00:00:00.25-05'", "2013-01-01 05:00:00.25+00"),
        "timestamp": ("'infinity'", "infinity"),
        "date": ("'0044-03-15 BC'", "0044-03-15 BC"),
        "interval": ("'1 day 2 hours'", "1 day 02:00:00"),
        "text": ("' Ä,\"\n𝄞'", ' Ä,"\n𝄞'),
        "int": ("-7", "-7"),
        "real": ("1e-30", "1e-30"),
        "time(3)": ("'01:02:03.1239'", "01:02:03.124"),
        "varchar(3)": ("null", None),
        "inet": ("'10.0.0.1/8'", "10.0.0.1/8"),
    }
    columns = ", ".join(f"c{at} {type_}" for at, type_ in enumerate(values))
    create(postgres, "kinds", columns, f"insert into kinds values ({', '.join(sql for sql, _ in values.values())})")
    contract = Table("kinds", tuple(Column(f"c{at}", "string") for at in range(len(values))))
    [row] = landed(make("kinds"), spark, contract)
    assert {type_: row[at] for at, type_ in enumerate(values)} == {type_: text for type_, (_, text) in values.items()}
    instant = spark.sql("select unix_micros(try_to_timestamp('2013-01-01 05:00:00.25+00')) as m").collect()[0].m
    assert instant == 1357016400250000


def test_names_of_any_kind_are_names(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    create(postgres, '"Odd ""table"', '"Id" int, id int, "na`me ""x" text', """insert into "Odd ""table" values (1, 2, 'a')""")
    source = make('public.Odd "table', rename={"Id": "name", 'na`me "x': "note"})
    contract = Table("odd", (Column("id", "int"), Column("name", "string"), Column("note", "string")))
    [row] = landed(source, spark, contract)
    assert (row.id, row.name, row.note) == ("2", "1", "a")


@pytest.mark.parametrize("type_", ["timestamptz", "timestamp", "date"])
def test_a_watermark_gives_the_intervals_rows_and_those_of_the_lookback(
    spark: SparkSession, postgres: PostgresServer, make: Make, type_: str
) -> None:
    times = ("2012-12-29", "2012-12-30", "2012-12-31", "2013-01-01", "2013-12-31", "2014-01-01")
    rows = ", ".join(f"({at}, '{time} 00:00:00')" for at, time in enumerate(times))
    create(postgres, "timed", f"id int, name {type_}", f"insert into timed values {rows}, (9, null)")
    assert ids_of(landed(make("timed", watermark="name"), spark)) == [3, 4]
    source = make("timed", watermark="name", lookback="2d")
    assert (source.sliced, make("timed").sliced) == (True, False)
    assert ids_of(landed(source, spark)) == [1, 2, 3, 4]


def ids_of(rows: list[Row]) -> list[int]:
    """The ids among rows, sorted."""
    return sorted(int(row.id) for row in rows)


def test_a_watermark_that_names_no_zone_is_in_its_columns(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    create(
        postgres, "clock", "id int, name timestamp", "insert into clock values (1, '2012-12-31 19:00'), (2, '2012-12-31 18:59')"
    )
    for zone, expected in (("America/New_York", [1]), ("-05:00", [1]), ("-04:59", []), ("-05:01", [1, 2])):
        contract = Table("clock", (Column("id", "int"), Column("name", "timestamp", zone=zone)))
        assert ids_of(landed(make("clock", watermark="name"), spark, contract)) == expected


def test_a_watermark_that_is_no_time_is_exit_2(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    pairs(postgres, "many", 1)
    with pytest.raises(ConfigError, match=r"watermark id is integer; expected a column of type timestamp with time zone"):
        landed(make("many", watermark="id"), spark)


def test_views_and_parts_are_read_whole(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    pairs(postgres, "many", 100)
    postgres.execute("create view seen as select * from many; create materialized view kept as select * from many")
    create(postgres, "parted", "id int, name text")
    postgres.execute(
        "drop table parted; create table parted (id int, name text) partition by range (id);"
        "create table parted1 partition of parted for values from (0) to (11);"
        "create table parted2 partition of parted for values from (11) to (1000);"
        "insert into parted select * from many"
    )
    for table, partitions in (("seen", 1), ("kept", 2), ("parted", 2)):
        with make(table).reading(spark, PAIRS, YEAR) as rows:
            assert (table, rows.rdd.getNumPartitions(), ids(rows)) == (table, partitions, list(range(1, 101)))


def test_all_connections_see_one_state_whatever_is_written_between_their_reads(
    spark: SparkSession, postgres: PostgresServer, make: Make
) -> None:
    pairs(postgres, "moved", 700)
    with make("moved").reading(spark, PAIRS, YEAR) as rows:
        id_rdd = rows.select("id").rdd
        first = spark.sparkContext.runJob(id_rdd, lambda part: [row.id for row in part], [0])
        # Every row of the half that was read moves to the other half, some of the other half into the first.
        postgres.execute("update moved set name = name || '' where id <= 350; delete from moved where id = 700")
        postgres.execute("insert into moved values (701, 'late')")
        second = spark.sparkContext.runJob(id_rdd, lambda part: [row.id for row in part], [1])
        assert 300 <= len(first) <= 400
        assert sorted(map(int, first + second)) == list(range(1, 701))
        with pytest.raises(RuntimeError, match="lock timeout"):
            postgres.execute("set lock_timeout = '100ms'; vacuum full moved")
    assert ids_of(landed(make("moved"), spark)) == [*range(1, 700), 701]
    assert postgres.execute("select count(*) from pg_stat_activity where application_name = 'ringmill'") == "0"


@pytest.mark.parametrize("table", ["state", "state_view"])
def test_the_version_changes_with_any_row_and_with_nothing_else(
    spark: SparkSession, postgres: PostgresServer, make: Make, table: str
) -> None:
    create(postgres, "state", "id int, name text", "insert into state values (1, 'a'), (2, 'b')")
    postgres.execute("create view state_view as select * from state")
    versions = [make(table).version(spark, PAIRS, YEAR)]
    assert versions[0].startswith("2:")
    assert make(table).version(spark, PAIRS, YEAR) == versions[0]
    for change in (
        "update state set name = 'c' where id = 2",
        "delete from state where id = 1; insert into state values (3, 'a')",
        "delete from state where id = 3",
        "truncate state",
    ):
        postgres.execute(change)
        versions.append(make(table).version(spark, PAIRS, YEAR))
    assert len(set(versions)) == 5


def test_the_version_is_the_intervals_own(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    create(postgres, "timed", "id int, name date", "insert into timed values (1, '2013-05-01'), (2, '2014-05-01')")
    source = make("timed", watermark="name")
    before = source.version(spark, PAIRS, YEAR)
    postgres.execute("update timed set id = 3 where id = 2")
    assert source.version(spark, PAIRS, YEAR) == before
    postgres.execute("update timed set id = 4 where id = 1")
    assert source.version(spark, PAIRS, YEAR) != before


def test_drift_decides_on_columns_that_the_contract_does_not_know(
    spark: SparkSession, postgres: PostgresServer, make: Make
) -> None:
    create(postgres, "drifted", "id int, name text, more int, less text", "insert into drifted values (1, 'a', 7, null)")
    with pytest.raises(DataError, match="missing none, unknown more, less"):
        landed(make("drifted"), spark)
    assert [row.extra for row in landed(make("drifted", drift="ignore"), spark)] == [None]
    assert [row.extra for row in landed(make("drifted", drift="add"), spark)] == [{"more": "7", "less": None}]
    with pytest.raises(DataError, match="missing none, unknown none, repeated id"):
        landed(make("drifted", drift="ignore", rename={"more": "id"}), spark)
    postgres.execute("alter table drifted drop column name")
    with pytest.raises(DataError, match="missing name, unknown more, less"):
        landed(make("drifted"), spark)
    assert [row.name for row in landed(make("drifted", drift="ignore"), spark)] == [None]


def test_what_fails_outside_is_exit_5_and_tells_no_password(
    spark: SparkSession, postgres: PostgresServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs(postgres, "many", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"jdbc:postgresql://127.0.0.1:{free.getsockname()[1]}/postgres"
        with pytest.raises(ExternalError, match=r"Connection to 127.0.0.1:\d+ refused") as refused:
            landed(make("many", url=url), spark)
    with pytest.raises(ExternalError, match=r'postgres none: .*relation "none" does not exist') as none:
        landed(make("none"), spark)
    monkeypatch.setenv("OTHER", "not-the-secret")
    with pytest.raises(ExternalError, match='password authentication failed for user "postgres"') as wrong:
        landed(make("many", password="OTHER"), spark)
    for caught in (refused, none, wrong):
        assert caught.value.exit_code == 5
        text = f"{caught.value} {caught.value.__cause__}"
        assert postgres.password not in text and "not-the-secret" not in text


def test_a_connection_that_is_cut_while_it_reads_is_exit_5(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    pairs(postgres, "many", 20_000)
    source = make("many", fetch_rows=10)

    def cut() -> None:
        # Not the connection that described the table: its server process may still be there for a moment.
        readers = "query like '%ringmill_key%' and state <> 'idle' and pid <> pg_backend_pid()"
        cutting = f"select pg_terminate_backend(pid) from pg_stat_activity where {readers}"
        for _ in range(400):
            if "t" in postgres.execute(cutting):
                return
            time.sleep(0.01)

    cutter = threading.Thread(target=cut)
    with source.reading(spark, PAIRS, YEAR) as rows:
        cutter.start()
        # Each row takes five milliseconds, so that all are not read before the server cuts.
        slow = rows.withColumn("waited", F.expr("java_method('java.lang.Thread', 'sleep', 5L)"))
        with pytest.raises(Py4JJavaError) as caught:
            slow.write.format("noop").mode("overwrite").save()
        cutter.join()
    explained = source.explain(caught.value, PAIRS)
    assert isinstance(explained, ExternalError)
    assert "terminating connection due to administrator command" in str(explained)
    assert source.explain(ValueError("other"), PAIRS) is None


def test_the_password_is_in_no_plan_and_no_version(spark: SparkSession, postgres: PostgresServer, make: Make) -> None:
    pairs(postgres, "many", 1)
    source = make("many")
    printed = io.StringIO()
    with source.reading(spark, PAIRS, YEAR) as rows, redirect_stdout(printed):
        rows.explain("extended")
        rows.explain("formatted")
    texts = [printed.getvalue(), source.version(spark, PAIRS, YEAR), repr(source), source.location, str(source.model_dump())]
    assert "JDBCRelation" in printed.getvalue()
    assert not [text for text in texts if postgres.password in text]


def test_settings_that_are_wrong_are_exit_2(spark: SparkSession, make: Make) -> None:
    with pytest.raises(
        ConfigError, match="the environment variable NOT_SET_HERE, which a source of kind jdbc names, is not set"
    ):
        landed(make("many", password="NOT_SET_HERE"), spark)
    with pytest.raises(ConfigError, match="its url holds a user or a password") as caught:
        make("many", url="jdbc:postgresql://127.0.0.1/postgres?user=me&password=verysecret")
    assert "verysecret" not in f"{caught.value} {caught.value.__cause__}"
    with pytest.raises(ConfigError, match="its url sets binaryTransferEnable, expected not to"):
        landed(make("many", url="jdbc:postgresql://127.0.0.1/postgres?ssl=false&binaryTransferEnable=23"), spark)
    with pytest.raises(ConfigError, match=r"sources\.pairs\.connections"):
        make("many", connections=0)
    for lookback in (5, "9999999999d", "1 fortnight"):
        with pytest.raises(ConfigError, match=r"sources\.pairs\.lookback: expected a span of time such as 90m, 2h or 1d"):
            make("many", lookback=lookback)
    for lookback in ("99999w", "-P1D"):
        with pytest.raises(ConfigError, match=r"lookback: expected a span of time from 0 to 36,600 days; received"):
            make("many", lookback=lookback)
    assert make("many", lookback="90m").lookback == timedelta(minutes=90)  # type: ignore[attr-defined]


def test_another_database_is_read_by_its_key(spark: SparkSession, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("create table pairs (id integer primary key, name text)")
        database.executemany("insert into pairs values (?, ?)", [(at, f"2013-01-0{at % 3} 00:00:00") for at in range(1, 101)])
    plain = {"url": f"jdbc:sqlite:{path}", "user": None, "password": None}
    source = make("pairs", **plain, connections=3)
    with source.reading(spark, PAIRS, YEAR) as rows:
        assert (rows.rdd.getNumPartitions(), ids(rows)) == (3, list(range(1, 101)))
    assert source.version(spark, PAIRS, YEAR) != source.version(spark, PAIRS, YEAR)
    timed = make("pairs", **plain, watermark="name")
    assert ids_of(landed(timed, spark)) == [at for at in range(1, 101) if at % 3]
    assert timed.version(spark, PAIRS, YEAR) == "67:2013-01-02 00:00:00"
