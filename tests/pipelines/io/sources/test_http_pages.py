"""Pages from a server with faults: what is tried again, what is given up, and how long that takes. No Spark."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import DataError, ExternalError
from pipelines.io.sources.http_client import Access, Client
from pipelines.io.sources.http_pages import Api, describe_shift, walk
from pipelines.io.sources.json_slices import elements
from pipelines.io.sources.page_spool import Spool
from pipelines.io.sources.paging import ByCursor, ByLink, ByPage, OnePage, next_link
from tests import faulty_server as faulty
from tests.faulty_server import FaultyApi, serving
from tests.root import ROOT

ACCESS = Access("things", retries=2, timeout_seconds=2, backoff_seconds=0.01, max_wait_seconds=5)
PAGE = ByPage(by="page", size=2)
CURSOR = ByCursor(by="cursor", size=2)
FIVE = [[1, 2], [3, 4], [5]]


@pytest.fixture
def server() -> Iterator[FaultyApi]:
    """Five records."""
    with serving([{"id": number} for number in range(1, 6)]) as api:
        yield api


def api(server: FaultyApi, paging: Any = PAGE, access: Access = ACCESS, **changes: Any) -> Api:
    """The API of the server, read by pages unless changed."""
    endpoint = Api(access, f"{server.base}/v1/things", {}, "data.items", paging, "total", 100)
    return dataclasses.replace(endpoint, **changes)


def read(endpoint: Api, folder: Path) -> list[list[int]]:
    """The ids of each page that was walked to."""
    spool = Spool(str(folder))
    pages = [spool.read(receipt.number) for receipt in walk(endpoint, spool, Client(endpoint.access))]
    return [[json.loads(record)["id"] for record in page.records] for page in pages if page]


@pytest.mark.parametrize("paging", [PAGE, CURSOR, ByLink(by="link", size=2)], ids=["page", "cursor", "link"])
def test_each_way_of_paging_reads_every_record_once(server: FaultyApi, tmp_path: Path, paging: Any) -> None:
    assert read(api(server, paging), tmp_path) == FIVE
    assert len(server.requests) == 3


def test_without_a_total_numbered_pages_end_with_an_empty_one(server: FaultyApi, tmp_path: Path) -> None:
    assert read(api(server, total=None), tmp_path) == [*FIVE, []]


def test_a_server_with_smaller_pages_than_requested_is_read_to_the_end(tmp_path: Path) -> None:
    with serving([{"id": number} for number in range(7000)]) as server:
        pages = read(api(server, ByPage(by="page", size=6000), total=None), tmp_path)
    assert [len(page) for page in pages] == [5000, 2000, 0]


@pytest.mark.parametrize("way", [faulty.chunked, faulty.zipped])
def test_answers_may_come_in_chunks_and_zipped(server: FaultyApi, tmp_path: Path, way: faulty.Fault) -> None:
    server.then = way
    assert read(api(server), tmp_path) == FIVE


def test_one_answer_that_is_an_array_needs_no_settings(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.content([{"id": 7}])
    assert read(api(server, OnePage(), records="", total=None), tmp_path) == [[7]]


def test_a_page_number_may_be_an_offset(server: FaultyApi) -> None:
    endpoint = api(server, ByPage(by="page", param="offset", first=0, step=2, size=2), url="http://h/v1?key=a")
    assert [endpoint.address(number) for number in (1, 2)] == [f"http://h/v1?key=a&size=2&offset={start}" for start in (0, 2)]


@pytest.mark.parametrize(
    "fault",
    [
        faulty.status(429),
        faulty.status(500),
        faulty.status(503),
        faulty.reset,
        faulty.short,
        faulty.short_chunk,
        faulty.cut,
        faulty.text(b""),
    ],
    ids=["429", "500", "503", "reset", "short", "short chunk", "cut", "empty"],
)
def test_a_fault_that_passes_is_tried_again(server: FaultyApi, tmp_path: Path, fault: faulty.Fault) -> None:
    server.script.extend([None, fault, fault])
    assert read(api(server), tmp_path) == FIVE
    assert server.requested == ["1", "2", "2", "2", "3"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faulty.status(503, "down"), r"503 Service Unavailable \('down'\)"),
        (faulty.reset, r"[Cc]onnection"),
        (faulty.short, "IncompleteRead"),
        (faulty.cut, "an answer that is not whole JSON"),
    ],
    ids=["503", "reset", "short", "cut"],
)
def test_a_fault_that_stays_is_exit_5(server: FaultyApi, tmp_path: Path, fault: faulty.Fault, message: str) -> None:
    server.then = fault
    with pytest.raises(ExternalError, match=rf"source things: http://.*page=1 failed 3 times, .*{message}") as caught:
        read(api(server), tmp_path)
    assert (caught.value.exit_code, len(server.requests)) == (5, 3)


def test_each_retry_is_logged_at_debug_level_without_the_token(
    server: FaultyApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pipelines.io.sources.http_client")
    server.script.append(faulty.status(503, "s3cret is down"))
    assert read(api(server, access=dataclasses.replace(ACCESS, token="s3cret")), tmp_path) == FIVE
    [retried] = [record.getMessage() for record in caplog.records if record.name.startswith("pipelines")]
    assert "page=1 failed (503 Service Unavailable ('*** is down')); retry 1 of 2 in " in retried


@pytest.mark.parametrize("fault", [faulty.slow(3), faulty.drops(0.1)], ids=["late", "drop by drop"])
def test_an_answer_that_takes_too_long_is_tried_again(server: FaultyApi, tmp_path: Path, fault: faulty.Fault) -> None:
    server.script.append(fault)
    quick = dataclasses.replace(ACCESS, timeout_seconds=0.3)
    started = time.monotonic()
    assert read(api(server, access=quick), tmp_path) == FIVE
    assert server.requested == ["1", "1", "2", "3"]
    assert time.monotonic() - started < 2


def test_nobody_listening_is_exit_5(server: FaultyApi, tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match=r"failed 3 times.*refused"):
        read(api(server, url="http://127.0.0.1:9/v1"), tmp_path)


def test_retry_after_in_seconds_is_honoured(server: FaultyApi, tmp_path: Path) -> None:
    server.script.append(faulty.status(429, Retry_After="1"))
    assert read(api(server), tmp_path) == FIVE
    assert 1 <= server.gaps[0] < 1.5


def test_retry_after_as_a_date_is_honoured(server: FaultyApi, tmp_path: Path) -> None:
    when = int(time.time()) + 2
    server.script.append(faulty.status(503, Retry_After=formatdate(when, usegmt=True)))
    assert read(api(server), tmp_path) == FIVE
    assert time.time() >= when
    assert 0.9 < server.gaps[0] < 2.5


def test_a_retry_after_that_means_nothing_is_a_back_off(server: FaultyApi, tmp_path: Path) -> None:
    server.script.append(faulty.status(429, Retry_After="soon"))
    assert read(api(server), tmp_path) == FIVE


def test_a_wait_that_is_too_long_is_exit_5_at_once(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.status(429, Retry_After="3600")
    with pytest.raises(
        ExternalError, match=r"asked to wait 3,600 seconds \(429 .*more than sources\.things\.max_wait_seconds \(5\)"
    ):
        read(api(server), tmp_path)
    assert len(server.requests) == 1


def test_the_back_off_doubles_and_varies(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.status(500)
    with pytest.raises(ExternalError):
        read(api(server, access=dataclasses.replace(ACCESS, retries=3, backoff_seconds=0.2)), tmp_path)
    for gap, most in zip(server.gaps, (0.2, 0.4, 0.8), strict=True):
        assert most / 2 <= gap < most + 0.15
    assert len({round(gap / most, 4) for gap, most in zip(server.gaps, (0.2, 0.4, 0.8), strict=True)}) == 3


def test_requests_keep_the_rate_also_when_tried_again(server: FaultyApi, tmp_path: Path) -> None:
    server.script.extend([None, faulty.status(500)])
    assert read(api(server, access=dataclasses.replace(ACCESS, requests_per_second=5)), tmp_path) == FIVE
    assert len(server.gaps) == 3
    assert sum(server.gaps) >= 0.5  # three times 0.2, less what the first took to arrive


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (401, "sources.things.token names"),
        (403, "sources.things.token names"),
        (404, "Fix sources.things.url"),
        (400, ".params"),
    ],
)
def test_a_refusal_is_exit_5_and_not_tried_again(server: FaultyApi, tmp_path: Path, code: int, hint: str) -> None:
    server.then = faulty.status(code, '{"error": "no"}')
    with pytest.raises(ExternalError, match=rf"page=1 answered {code} .*'{{\"error\": \"no\"}}'.*expected 200.*{hint}"):
        read(api(server), tmp_path)
    assert len(server.requests) == 1


def test_a_token_is_sent_and_never_told_or_passed_on(server: FaultyApi, tmp_path: Path) -> None:
    access = dataclasses.replace(ACCESS, token="s3cret")
    with serving(server.rows) as other:
        server.script.append(faulty.status(302, Location=f"{other.base}/v1/things?page=1&size=2"))
        assert read(api(server, access=access), tmp_path) == FIVE
        assert [request.headers.get("authorization") for request in server.requests] == ["Bearer s3cret"] * 3
        assert [request.headers.get("authorization") for request in other.requests] == [None]
        server.then = faulty.status(403, "s3cret may not")
        with pytest.raises(ExternalError, match=r"'\*\*\* may not'") as caught:
            read(api(server, access=access), tmp_path / "b")
        assert "s3cret" not in f"{caught.value} {access} {api(server, access=access)}"
        server.then, link = None, f'<{other.base}/v1>; rel="next"'
        server.script.append(lambda handler, request: handler.send(200, handler.good(request), {"Link": link}))
        with pytest.raises(ExternalError, match="on another host than"):
            read(api(server, ByLink(by="link", size=2), access=access), tmp_path / "c")
        assert len(other.requests) == 1
        server.script.append(lambda handler, request: handler.send(200, handler.good(request), {"Link": secure}))
        secure = f'<{server.base.replace("http:", "https:")}/v1>; rel="next"'
        with pytest.raises(ExternalError, match="by another protocol than"):
            read(api(server, ByLink(by="link", size=2), access=access), tmp_path / "d")


def test_a_redirect_on_the_same_host_keeps_the_token(server: FaultyApi, tmp_path: Path) -> None:
    server.script.append(faulty.status(307, Location="/v2/things?page=1&size=2"))
    assert read(api(server, access=dataclasses.replace(ACCESS, token="s3cret")), tmp_path) == FIVE
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer s3cret"}
    server.then = faulty.status(302, Location="/v1/things")
    with pytest.raises(ExternalError, match="redirects more than 5 times"):
        read(api(server), tmp_path / "b")


def test_a_cursor_that_repeats_is_exit_5(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.content({"data": {"items": []}, "total": 5, "next": "same"})
    with pytest.raises(ExternalError, match="page 3 is one that was read before"):
        read(api(server, CURSOR), tmp_path)
    assert server.requested == ["", "same", "same"]


def test_a_page_that_repeats_is_exit_5(server: FaultyApi, tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match=r"page 2 is one that was read before.*Fix sources\.things\.paging"):
        read(api(server, ByPage(by="page", param="seite", size=2)), tmp_path)


def test_more_pages_than_allowed_is_exit_5(server: FaultyApi, tmp_path: Path) -> None:
    with pytest.raises(ExternalError, match=r"more than 2 pages\. Narrow the interval"):
        read(api(server, max_pages=2), tmp_path)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"error": "busy"}, r"expected a value at 'data\.items', received an object of error\. Fix sources\.things\.records"),
        ({"data": {"items": {"id": 1}}, "total": 1}, "expected an array at 'data.items', received an object"),
        ({"data": {"items": []}}, r"expected a value at 'total', received an object of data\. Fix sources\.things\.total"),
        ({"data": {"items": []}, "total": "few"}, r"expected a whole number at 'total', received a text \(few\)"),
        ([1], "expected a value at 'data.items', received an array"),
    ],
)
def test_an_answer_of_another_form_is_exit_3(server: FaultyApi, tmp_path: Path, answer: object, message: str) -> None:
    server.then = faulty.content(answer)
    with pytest.raises(DataError, match=message) as caught:
        read(api(server), tmp_path)
    assert (caught.value.exit_code, len(server.requests)) == (3, 1)


def test_an_answer_that_is_no_json_is_exit_3(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.text("<html>Log in</html>", "text/html")
    with pytest.raises(DataError, match=r"is no JSON: received text/html \('<html>Log in</html>'\)"):
        read(api(server), tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            faulty.text('{"data": {"items": []}}\n{"data": {"items": []}}'),
            r"is more than one JSON value: received application/json",
        ),
        (
            faulty.content({"data": {"items": []}, "total": 0, "error": "busy"}),
            r"received none, and the report of a failure: .*busy",
        ),
        (
            faulty.content({"data": {"items": [1]}, "total": 1, "next": "\ud800"}),
            r"at 'next', received half of a surrogate pair",
        ),
        (faulty.content({"data": {"items": [1]}, "total": 1, "next": [1]}), r"at 'next', received an array"),
        (faulty.status(302, Location="http://[bad/"), r"redirects to what is no address"),
        (faulty.status(302, Location="ftp://there/it"), r"leads to no address"),
    ],
)
def test_an_answer_that_is_wrong_is_requested_once(
    server: FaultyApi, tmp_path: Path, answer: faulty.Fault, message: str
) -> None:
    server.then = answer
    with pytest.raises((DataError, ExternalError), match=message):
        read(api(server, CURSOR), tmp_path)
    assert len(server.requests) == 1


def test_a_pointer_that_leads_through_a_list_does_not_end_paging(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.content({"data": {"items": [{"id": 1}]}, "links": [{"next": "/v1/things?page=2"}]})
    with pytest.raises(DataError, match=r"expected an object on the way at 'links\.next', received an array"):
        read(api(server, ByLink(by="link", next="links.next"), total=None), tmp_path)
    assert next_link("</b>; rel='next'") == "/b"


def test_an_answer_in_another_encoding_is_exit_3_at_once(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.text('{"items": ["caf\xe9"]}'.encode("latin-1"), "application/json; charset=iso-8859-1")
    with pytest.raises(DataError, match=r"is not UTF-8, as JSON is \(byte e9 at 15\): received .*charset=iso-8859-1"):
        read(api(server), tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: rows.insert(0, {"id": 0}), "the total changed from 5 to 6"),
        (lambda rows: rows.pop(0), "the total changed from 5 to 4"),
    ],
    ids=["inserted", "removed"],
)
def test_records_that_come_and_go_are_seen(server: FaultyApi, tmp_path: Path, edit: Any, message: str) -> None:
    server.edits[2] = edit
    endpoint = api(server)
    assert describe_shift(list(walk(endpoint, Spool(str(tmp_path)), Client(ACCESS)))) == message
    assert server.requested == ["1", "2"]


def test_a_total_that_the_records_do_not_come_to_is_seen(server: FaultyApi, tmp_path: Path) -> None:
    server.then = faulty.content({"data": {"items": [{"id": 1}]}, "total": 2, "next": None})
    assert (
        describe_shift(list(walk(api(server, CURSOR), Spool(str(tmp_path)), Client(ACCESS))))
        == "1 records came of a total of 2"
    )


def test_a_run_that_was_killed_is_resumed(server: FaultyApi, tmp_path: Path) -> None:
    server.script.extend([None, None, faulty.slow(30)])
    code = (
        "import sys; from pipelines.io.sources.http_client import *; from pipelines.io.sources.http_pages import *\n"
        "from pipelines.io.sources.page_spool import Spool\nfrom pipelines.io.sources.paging import ByPage\n"
        f"api = Api(Access('things'), '{server.base}/v1/things', {{}}, 'data.items', ByPage(by='page', size=2), 'total', 9)\n"
        f"list(walk(api, Spool({str(tmp_path)!r}), Client(api.access)))\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while len(server.requests) < 3:
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page-000001.json", "page-000002.json"]
    assert read(api(server), tmp_path) == FIVE
    assert server.requested == ["1", "2", "3", "3"]


def test_spools_that_nobody_came_back_for_are_removed(server: FaultyApi, tmp_path: Path) -> None:
    for name in ("mine", "fresh", "old"):
        read(api(server), tmp_path / name)
    for path in (tmp_path / "old").iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    Spool(str(tmp_path / "mine")).discard_older(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "mine"]
    Spool(str(tmp_path / "mine")).discard_older(0)
    Spool(str(tmp_path / "none" / "mine")).discard_older(0)
    assert list(tmp_path.iterdir()) == []


def test_clients_that_share_a_rate_do_not_begin_at_once(server: FaultyApi) -> None:
    access = dataclasses.replace(ACCESS, requests_per_second=4)
    clients = [Client(access, 2, turn) for turn in (0, 1)]
    for client in (*clients, *clients):
        client.get(f"{server.base}/v1/things")
    assert len(server.gaps) == 3
    assert sum(server.gaps) >= 0.65  # three times 0.25


def test_records_keep_their_text() -> None:
    text = '{"a": [0], "a": {"b" : [ {"x":1.10,"x":1e400 } , "[\\"]}", null,12345678901234567890 ] } }'
    assert elements(text, "a.b") == ['{"x":1.10,"x":1e400 }', '"[\\"]}"', "null", "12345678901234567890"]
    assert elements(" [ ] ", "") == []


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<http://h/a?p=2>; rel="next", <http://h/a?p=9>; rel="last"', "http://h/a?p=2"),
        ('<http://h/a?p=9>; rel="last", </b,c>; title="x"; REL=next', "/b,c"),
        ('<b>; rel="prefetch Next"', "b"),
        ('<b>; rel="nextish"', None),
        ("", None),
    ],
)
def test_a_link_header_is_read(header: str, target: str | None) -> None:
    assert next_link(header) == target
