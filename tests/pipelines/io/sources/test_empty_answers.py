"""How APIs say that there are no records, and what only looks like it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import DataError, ExternalError
from pipelines.io.sources.http_client import Access, Client
from pipelines.io.sources.http_pages import Api, describe_shift, walk
from pipelines.io.sources.page_spool import Spool
from pipelines.io.sources.paging import ByCursor, ByLink, ByPage, OnePage
from tests import faulty_server as faulty
from tests.faulty_server import FaultyApi, serving

ACCESS = Access("things", retries=0, timeout_seconds=2)
PAGES = [ByPage(by="page"), ByCursor(by="cursor"), ByLink(by="link", next="next"), OnePage()]
NO_CONTENT = faulty.status(204)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyApi]:
    """An API whose answers are scripted."""
    with serving([]) as api:
        yield api


def read(server: FaultyApi, folder: Path, *answers: Any, **changes: Any) -> list[list[Any]]:
    """The records of each page when the API gives these answers, and nothing good after them."""
    server.script.clear()
    server.script.extend(answer if callable(answer) else faulty.content(answer) for answer in answers)
    server.then = faulty.status(500)
    endpoint = Api(ACCESS, f"{server.base}/v1/things", {}, "data.items", ByCursor(by="cursor"), None, 100)
    endpoint = dataclasses.replace(endpoint, **changes)
    spool = Spool(str(folder))
    receipts = list(walk(endpoint, spool, Client(endpoint.access)))
    assert describe_shift(receipts) is None
    assert not server.script
    return [[json.loads(record) for record in page.records] for page in map(spool.read, range(1, len(receipts) + 1)) if page]


@pytest.mark.parametrize("paging", PAGES, ids=lambda paging: str(paging.by))
@pytest.mark.parametrize("total", [None, "total"])
def test_no_content_is_no_records(server: FaultyApi, tmp_path: Path, paging: Any, total: str | None) -> None:
    assert read(server, tmp_path, NO_CONTENT, paging=paging, total=total) == [[]]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"items": []}, "total": 0},
        {"data": {"items": None}, "total": 0},
        {"data": {}, "total": 0},
        {"data": None, "total": 0},
        {"data": [], "total": "0"},
        {"total": 0},
        {},
        None,
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("paging", [PAGES[0], PAGES[3]], ids=["page", "none"])
def test_a_total_of_zero_needs_no_list(server: FaultyApi, tmp_path: Path, answer: object, paging: Any) -> None:
    assert read(server, tmp_path, answer, paging=paging, total="total") == [[]]


@pytest.mark.parametrize(
    "answer",
    [{"data": {"items": None}}, {"data": {}}, {"data": {"items": []}, "next": None}, {"next": None}, {"next": ""}, {}],
    ids=json.dumps,
)
def test_without_a_total_a_list_may_be_null_or_left_out(server: FaultyApi, tmp_path: Path, answer: object) -> None:
    assert read(server, tmp_path, answer) == [[]]


def test_a_page_without_a_list_in_the_middle_leads_on(server: FaultyApi, tmp_path: Path) -> None:
    answers = ({"data": {"items": [1]}, "next": "a"}, {"next": "b"}, {"data": {"items": [2]}})
    assert read(server, tmp_path, *answers) == [[1], [], [2]]


@pytest.mark.parametrize("records", ["", "data.items"])
def test_an_empty_array_alone_is_no_records(server: FaultyApi, tmp_path: Path, records: str) -> None:
    answer = {"data": {"items": []}} if records else []
    assert read(server, tmp_path, answer, paging=OnePage(), records=records) == [[]]


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "busy", "next": None},
        {"data": None, "errors": [{"message": "no such field"}]},
        {"data": {"items": None}, "success": False},
        {"data": {}, "ok": False},
        {"items": [1]},
        {"data": {"rows": [1]}},
        {"data": {"items": {}}},
    ],
    ids=json.dumps,
)
def test_an_answer_that_reports_a_failure_or_has_another_form_is_exit_3(
    server: FaultyApi, tmp_path: Path, answer: object
) -> None:
    with pytest.raises(
        DataError, match=r"expected (a value|an array) at 'data\.items', received .*Fix sources\.things\.records"
    ):
        read(server, tmp_path, answer)


def test_a_total_that_is_not_reached_is_no_empty_answer(server: FaultyApi, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="1 records came of a total of 2"):
        read(server, tmp_path, {"data": {"items": [1]}, "next": "a", "total": 2}, NO_CONTENT, total="total")


@pytest.mark.parametrize("paging", [ByCursor(by="cursor"), ByLink(by="link", next="next")], ids=["cursor", "link"])
@pytest.mark.parametrize("total", [None, "total"])
def test_a_feed_ends_where_an_empty_page_leads_to_itself(
    server: FaultyApi, tmp_path: Path, paging: Any, total: str | None
) -> None:
    after = "a" if isinstance(paging, ByCursor) else "/v1/things?after=a"
    answers = ({"data": {"items": [1]}, "next": after, "total": 1}, {"data": {"items": []}, "next": after, "total": 1})
    assert read(server, tmp_path, *answers, paging=paging, total=total) == [[1], []]


def test_a_page_with_records_that_leads_to_itself_is_exit_5(server: FaultyApi, tmp_path: Path) -> None:
    answers = (
        {"data": {"items": [1]}, "next": "a"},
        {"data": {"items": [2]}, "next": "a"},
        {"data": {"items": [2]}, "next": "a"},
    )
    with pytest.raises(ExternalError, match="page 3 is one that was read before"):
        read(server, tmp_path, *answers)


def test_a_next_page_that_is_no_address_is_exit_3(server: FaultyApi, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected an address at 'next', received http://\[::1"):
        read(server, tmp_path, {"data": {"items": [1]}, "next": "http://[::1"}, paging=ByLink(by="link", next="next"))
