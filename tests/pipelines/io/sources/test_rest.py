"""A JSON API as a source: its rows through Spark, what goes wrong there, and what of it is secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import SparkSession

from pipelines.config import Interval, SourceSection
from pipelines.errors import ConfigError, DataError, ExternalError
from pipelines.io.sources.base import Source
from pipelines.io.sources.kinds import make_source
from schemas.contract import Column, Table
from tests import faulty_server as faulty
from tests.faulty_server import FaultyApi, serving

CONTRACT = Table("things", (Column("id", "int"), Column("name", "string")))
DAY = Interval(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 1, 2, tzinfo=UTC))
Make = Callable[..., Source]
FIVE = ["1", "2", "3", "4", "5"]


@pytest.fixture
def server() -> Iterator[FaultyApi]:
    """Five records, at noon of five days."""
    rows = [{"id": number, "name": f"n{number}", "at": f"2013-01-0{number}T12:00:00Z"} for number in range(1, 6)]
    with serving(rows, "at") as api:
        yield api


@pytest.fixture
def make(server: FaultyApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a source over the server: `make(retries=0)`."""
    monkeypatch.setenv("THINGS_AT", server.base)

    def _make(**settings: Any) -> Source:
        usual = {
            "kind": "rest", "url": "${THINGS_AT}/v1/things", "records": "data.items", "total": "total", "drift": "ignore",
            "paging": {"by": "page", "size": 2}, "retries": 1, "timeout_seconds": 2, "backoff_seconds": 0.01,
        }  # fmt: skip
        return make_source("things", SourceSection(**{**usual, **settings})).keeping(str(tmp_path / "spool"))

    return _make


def ids(spark: SparkSession, source: Source) -> list[str]:
    """The ids that a source gives."""
    return sorted(row.id for row in source.read(spark, CONTRACT, DAY).collect())


def spool_files(tmp_path: Path) -> list[str]:
    """The names of spooled pages."""
    return sorted(path.name for path in (tmp_path / "spool").rglob("*.json"))


def test_rows_land_as_text_with_their_page_and_position(spark: SparkSession, server: FaultyApi, make: Make) -> None:
    server.rows[1]["name"] = {"first": "Ada"}
    server.rows[2] = 42  # type: ignore[call-overload]
    server.then = faulty.content({"data": {"items": server.rows}, "total": 5})
    rows = make(paging={"by": "none"}, drift="add").read(spark, CONTRACT, DAY).orderBy("source_row").collect()
    assert [(row.id, row.name) for row in rows] == [
        ("1", "n1"),
        ("2", '{"first":"Ada"}'),
        (None, None),
        ("4", "n4"),
        ("5", "n5"),
    ]
    assert [row.broken_line for row in rows] == [None, None, "42", None, None]
    assert rows[0].extra == {"at": "2013-01-01T12:00:00Z"}
    assert {(row.source_file, row.source_block) for row in rows} == {(f"{server.base}/v1/things", 1)}
    assert [row.source_row for row in rows] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("by", ["page", "cursor", "link"])
def test_each_way_of_paging_reads_every_record_once(spark: SparkSession, server: FaultyApi, make: Make, by: str) -> None:
    assert ids(spark, make(paging={"by": by, "size": 2})) == FIVE
    assert len(server.requests) == 3


def test_the_interval_is_requested_in_utc_or_in_the_pipelines_zone(spark: SparkSession, server: FaultyApi, make: Make) -> None:
    zone = ZoneInfo("America/New_York")
    new_york = Interval(start=datetime(2013, 1, 1, 19, tzinfo=zone), end=datetime(2013, 1, 3, 19, tzinfo=zone))
    source = make(params={"from": "{from:%Y-%m-%dT%H:%M:%SZ}", "to": "{to}", "day": "{from:%Y-%m-%d %H}"})
    rows = source.read(spark, CONTRACT, new_york).collect()
    assert sorted(row.id for row in rows) == ["2", "3"]
    query = server.requests[0].query
    assert (query["from"], query["to"]) == ("2013-01-02T00:00:00Z", "2013-01-04T00:00:00Z")
    assert query["day"] == "2013-01-01 19"
    assert source.sliced
    assert not make().sliced


def test_an_interval_without_records_gives_none(spark: SparkSession, make: Make) -> None:
    assert ids(spark, make(params={"from": "2020-01-01T00:00:00Z"})) == []


def test_several_connections_share_pages_and_rate(spark: SparkSession, server: FaultyApi, make: Make) -> None:
    assert ids(spark, make(connections=2, requests_per_second=8, paging={"by": "page", "size": 1})) == FIVE
    assert sorted(server.requested) == FIVE
    first, *others = [request for request in server.requests if request.query["page"] != "1"]
    mine = [request for request in (first, *others) if int(request.query["page"]) % 2 == int(first.query["page"]) % 2]
    assert mine[1].at - mine[0].at >= 0.15  # 0.25 where it is sent, less what the first took to arrive


@pytest.mark.parametrize("edit", [lambda rows: rows.insert(0, {"id": 0}), lambda rows: rows.pop(0)], ids=["in", "out"])
@pytest.mark.parametrize("connections", [1, 2])
def test_when_pages_shift_all_are_read_again(
    spark: SparkSession, server: FaultyApi, make: Make, edit: Any, connections: int
) -> None:
    server.edits[2] = edit
    assert ids(spark, make(connections=connections)) == sorted(str(row["id"]) for row in server.rows)


def test_when_pages_keep_shifting_it_is_exit_5(spark: SparkSession, server: FaultyApi, make: Make, tmp_path: Path) -> None:
    server.edits = {number: lambda rows: rows.insert(0, {"id": 0}) for number in range(1, 20)}
    with pytest.raises(ExternalError, match=r"records came or went while the pages were read, 2 times: the total changed"):
        ids(spark, make(rereads=1))
    assert spool_files(tmp_path) == []


def test_a_server_that_ignores_the_page_is_exit_5(spark: SparkSession, make: Make, tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match="page 2 is one that was read before"):
        ids(spark, make(paging={"by": "page", "param": "seite", "size": 2}))
    # With a total of 4 two tasks of one page each do not see it, but the driver does.
    with pytest.raises(ExternalError, match="page 2 is one that was read before") as caught:
        ids(spark, make(paging={"by": "page", "param": "seite", "size": 2}, params={"to": "2013-01-05"}, connections=2))
    assert caught.value.exit_code == 5
    assert not list((tmp_path / "spool").rglob("page-000002.json"))


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (faulty.status(401), ExternalError, r"source things: .*page=2.* answered 401 Unauthorized; expected 200\. Put"),
        (faulty.status(500), ExternalError, r"failed 2 times, the last time with: 500 Internal Server Error\."),
        (faulty.text("<p>", "text/html"), DataError, "is no JSON: received text/html"),
        (faulty.content({"id": 1}), DataError, "expected a value at 'data.items', received an object of id"),
    ],
    ids=["401", "500", "html", "records"],
)
def test_an_executors_error_is_the_drivers(
    spark: SparkSession,
    server: FaultyApi,
    make: Make,
    tmp_path: Path,
    fault: faulty.Fault,
    error: type[Exception],
    message: str,
) -> None:
    server.script.append(None)
    server.then = fault
    with pytest.raises(error, match=message):
        ids(spark, make())
    assert spool_files(tmp_path) == ["page-000001.json"]


def test_a_run_that_broke_off_is_resumed(spark: SparkSession, server: FaultyApi, make: Make, tmp_path: Path) -> None:
    server.script.extend([None, None])
    server.then = faulty.status(503)
    with pytest.raises(ExternalError, match="run again later to go on from there"):
        ids(spark, make(retries=0))
    server.then = None
    assert ids(spark, make()) == FIVE
    assert ids(spark, make()) == FIVE
    assert server.requested == ["1", "2", "3", "3"]
    make().forget(CONTRACT, DAY)
    assert spool_files(tmp_path) == []
    assert ids(spark, make()) == FIVE
    assert server.requested[4:] == ["1", "2", "3"]


def test_an_old_spool_and_an_expired_cursor_are_not_resumed(spark: SparkSession, server: FaultyApi, make: Make) -> None:
    paging = {"by": "cursor", "size": 2}
    server.script.extend([None, faulty.status(500), faulty.status(410)])
    with pytest.raises(ExternalError, match="500"):
        ids(spark, make(paging=paging, retries=0))
    assert ids(spark, make(paging=paging)) == FIVE
    assert server.requested == ["", "c2", "c2", "", "c2", "c4"]
    assert ids(spark, make(paging=paging, spool_hours=0)) == FIVE
    assert server.requested[6:] == ["", "c2", "c4"]


def test_a_spool_that_is_gone_when_it_is_read_is_exit_5(spark: SparkSession, make: Make) -> None:
    source = make()
    rows = source.read(spark, CONTRACT, DAY)
    source.forget(CONTRACT, DAY)
    with pytest.raises(Exception, match="no longer in") as caught:
        rows.collect()
    error = source.explain(caught.value, CONTRACT)
    assert isinstance(error, ExternalError)
    # Two tasks fail, and either may be the first.
    assert re.fullmatch(r"source things: page [12] is no longer in .*Run again\.", str(error))
    assert source.explain(ValueError("another"), CONTRACT) is None


def test_the_token_is_sent_and_is_nowhere_else(
    spark: SparkSession,
    server: FaultyApi,
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = make(token="THINGS_TOKEN")
    with pytest.raises(ConfigError, match=r"sources\.things\.token: the environment variable THINGS_TOKEN is not set"):
        source.read(spark, CONTRACT, DAY)
    monkeypatch.setenv("THINGS_TOKEN", "s3cret-t0ken")
    version = source.version(spark, CONTRACT, DAY)
    rows = source.read(spark, CONTRACT, DAY)
    rows.explain("formatted")
    rows.explain(True)
    assert len(rows.collect()) == 5
    assert {request.headers.get("authorization") for request in server.requests} == {"Bearer s3cret-t0ken"}
    spool_bytes = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
    out, err = capfd.readouterr()
    assert "ringmill_things" in out
    assert "s3cret" not in out + err + version + str(source) + spool_bytes.decode() + str(rows.collect())
    monkeypatch.setenv("THINGS_TOKEN", "another")
    assert source.version(spark, CONTRACT, DAY) == version


def test_a_version_is_of_the_request(spark: SparkSession, make: Make) -> None:
    request = {"params": {"from": "{from}"}}
    before = make(**request).version(spark, CONTRACT, DAY)
    later = Interval(start=DAY.end, end=datetime(2013, 1, 3, tzinfo=ZoneInfo("UTC")))
    assert make(**request, retries=9).version(spark, CONTRACT, DAY) == before
    assert make(**request).version(spark, CONTRACT, later) != before
    assert make(**request, url="${THINGS_AT}/v2").version(spark, CONTRACT, DAY) != before
    assert make(**request, paging={"by": "page", "size": 3}).version(spark, CONTRACT, DAY) != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "${NO_SUCH_PLACE}/v1"}, r"sources\.things\.url: the environment variable NO_SUCH_PLACE is not set"),
        ({"url": "ftp://h/v1"}, r"sources\.things\.url: expected http:// or https://"),
        ({"url": "http://me:pass@h/v1"}, "no user, password"),
        ({"url": "http://[::1/v1"}, r"sources\.things\.url: expected http:// or https://"),
        ({"url": "http://h:port/v1"}, r"sources\.things\.url: expected http:// or https://"),
        ({"paging": {"by": "offset"}}, r"sources\.things\.paging"),
        ({"retries": -1}, r"sources\.things\.retries"),
    ],
)
def test_settings_that_are_wrong_are_exit_2(spark: SparkSession, make: Make, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make(**settings).version(spark, CONTRACT, DAY)
    assert "pass@" not in str(caught.value)
