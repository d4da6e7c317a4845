"""How an API says that it has no records: no content, an empty object, null, or an array that is left out for being empty."""

from __future__ import annotations

from typing import Any

from pipelines.io.sources.http_client import Answer
from pipelines.io.sources.json_slices import find
from pipelines.io.sources.paging import ByCursor, ByLink, ByPage, OnePage

# An answer with status 200 that has one of these (or says that it is no success) reports a failure; it is not empty.
FAILURES = ("error", "errors", "fault", "exception")
SUCCESSES = ("success", "ok")


def has_no_content(answer: Answer, records: str) -> bool:
    """Whether an answer has nothing at all: neither records nor a total, nor a next page."""
    return not answer.text or answer.content is None or (bool(records) and answer.content == {})


def leaves_out_records(answer: Answer, records: str, total: str | None, paging: ByPage | ByCursor | ByLink | OnePage) -> bool:
    """Whether an answer without a value at `records` has no records, and is not one of another form.

    So it is where the total is 0, where the array's parent is empty, or where the key is there that leads to the next page.
    """
    if reports_failure(answer):
        return False
    if total and str(_value(answer, total)) == "0":
        return True
    parent, _, name = records.rpartition(".")
    if name and _value(answer, parent) in ({}, []):
        return True
    return isinstance(paging, ByCursor | ByLink) and bool(paging.next) and _is_there(answer, paging.next)


def reports_failure(answer: Answer) -> bool:
    """Whether an answer with status 200 says that something went wrong."""
    content = answer.content
    if not isinstance(content, dict):
        return False
    return any(content.get(name) for name in FAILURES) or any(content.get(name) is False for name in SUCCESSES)


def _value(answer: Answer, path: str) -> Any:
    try:
        return find(answer.content, path)
    except KeyError:
        return None


def _is_there(answer: Answer, path: str) -> bool:
    try:
        find(answer.content, path)
    except KeyError:
        return False
    return True
