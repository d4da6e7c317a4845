"""A paged JSON API, page by page: where the next one is, what is in it, and whether paging gets anywhere. No Spark here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from pipelines.errors import DataError, ExternalError
from pipelines.io.sources.empty_answers import has_no_content, leaves_out_records, reports_failure
from pipelines.io.sources.http_client import Access, Answer, Client
from pipelines.io.sources.http_proxy import PORTS
from pipelines.io.sources.json_slices import elements, find, kind
from pipelines.io.sources.page_spool import Page, Spool
from pipelines.io.sources.paging import ByCursor, ByLink, ByPage, OnePage, next_link


class PageReceipt(NamedTuple):
    """What is known of a page without its records."""

    number: int
    records: int
    total: int | None
    digest: str


@dataclass(frozen=True)
class Api:
    """The requests to an API: an address with its parameters filled in, and the dotted paths of records and total."""

    access: Access
    url: str
    params: dict[str, str]
    records: str
    paging: ByPage | ByCursor | ByLink | OnePage
    total: str | None
    max_pages: int

    def address(self, number: int, **more: str) -> str:
        """The address of a page: by its number where pages are numbered, by `more` parameters elsewhere."""
        numbered = {}
        if isinstance(self.paging, ByPage):
            numbered = {self.paging.param: str(self.paging.first + (number - 1) * self.paging.step)}
        query = urlencode({**self.params, **self.paging.sized, **numbered, **more})
        return f"{self.url}{('&' if '?' in self.url else '?') if query else ''}{query}"

    def fetch(self, client: Client, address: str, number: int) -> Page:
        """Fetch a page; raises DataError when the answer lacks what it should have, and what `Client.get` raises."""
        answer = client.get(address)
        if has_no_content(answer, self.records):
            return Page(number, self.access.hide(address), [])
        records = self._records(answer)
        return Page(number, self.access.hide(address), records, self._next(answer, number, records), self._total(answer))

    def _records(self, answer: Answer) -> list[str]:
        try:
            value = find(answer.content, self.records)
        except KeyError as error:
            if leaves_out_records(answer, self.records, self.total, self.paging):
                return []
            raise self._unfit(answer, self.records, "records", "a value", error.args[0]) from error
        if value is None and not reports_failure(answer):
            return []
        if value == [] and reports_failure(answer):
            raise self._unfit(answer, self.records, "records", "records", "none, and the report of a failure: " + answer.text)
        if not isinstance(value, list):
            raise self._unfit(answer, self.records, "records", "an array", kind(value))
        return elements(answer.text, self.records)

    def _next(self, answer: Answer, number: int, records: list[str]) -> str | None:
        match self.paging:
            case ByPage():
                return self.address(number + 1) if records else None
            case ByCursor(param=param, next=path):
                cursor = self._pointer(answer, path)
                return self.address(number + 1, **{param: cursor}) if cursor else None
            case ByLink(next=path):
                link = self._pointer(answer, path) if path else next_link(answer.link)
                return self._same_host(answer, link) if link else None
        return None

    def _pointer(self, answer: Answer, path: str) -> str | None:
        """What leads to the next page; None when it is missing, null, false or empty, as it is on a last page."""
        try:
            value = find(answer.content, path)
        except KeyError as error:
            if error.args[0] in ("an array", "a text", "a number", "a truth value"):
                raise self._unfit(answer, path, "paging.next", "an object on the way", error.args[0]) from error
            return None
        if value in (None, False, ""):
            return None
        if isinstance(value, bool | dict | list):
            raise self._unfit(answer, path, "paging.next", "a text or a number", kind(value))
        if re.search("[\ud800-\udfff]", str(value)):
            raise self._unfit(answer, path, "paging.next", "a text or a number", "half of a surrogate pair")
        return str(value)

    def _total(self, answer: Answer) -> int | None:
        if self.total is None:
            return None
        value = self._find(answer, self.total, "total")
        if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value)):
            raise self._unfit(answer, self.total, "total", "a whole number", f"{kind(value)} ({str(value)[:40]})")
        return int(value)

    def _find(self, answer: Answer, path: str, key: str) -> Any:
        try:
            return find(answer.content, path)
        except KeyError as error:
            raise self._unfit(answer, path, key, "a value", error.args[0]) from error

    def _unfit(self, answer: Answer, path: str, key: str, expected: str, received: str) -> DataError:
        source = self.access.source
        hide = self.access.hide
        return DataError(
            f"source {source}: the answer of {hide(answer.address)} does not fit: expected {expected} at "
            f"'{path or '(the answer itself)'}', received {hide(received)[:200]}. Fix sources.{source}.{key}."
        )

    def _same_host(self, answer: Answer, link: str) -> str:
        try:
            address = urljoin(answer.address, link)
            same = _origin(address) == _origin(self.url)
        except ValueError as error:
            raise self._unfit(answer, "next", "paging.next", "an address", f"{link} ({error})") from error
        if not same:
            other = _difference(address, self.url)
            source, shown = self.access.source, self.access.hide(address)
            raise ExternalError(
                f"source {source}: the next page is said to be at {shown}, {other} than {self.url}; it is not asked "
                f"for, since the token is not sent there. Fix sources.{source}.url, or page by number or cursor."
            )
        return address


def _origin(address: str) -> tuple[str, str, int | None]:
    """An address's protocol, host and port, however they are written."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)


def _difference(address: str, known: str) -> str:
    """In which way an address is elsewhere than a known one."""
    (scheme, host, _), (known_scheme, known_host, _) = _origin(address), _origin(known)
    return "by another protocol" if host == known_host and scheme != known_scheme else "on another host"


class LoopDetector:
    """Detects paging that loops: no page may equal an earlier one, or be at the address of an earlier one."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: set[str] = set()
        self._total: int | None = None

    def check(self, page: Page) -> None:
        """Record a page; raises ExternalError when it repeats an earlier one, or is one too many.

        Where the total has changed pages have shifted, so that one may hold what another did: `describe_shift` reports that.
        """
        source = self._api.access.source
        if self._seen and page.total != self._total:
            return
        self._total = page.total
        for trace in (page.digest, page.address):
            if trace and trace in self._seen:
                raise repeat_error(source, page.number)
            self._seen.add(trace)
        if page.number > self._api.max_pages:
            raise ExternalError(
                f"source {source}: more than {self._api.max_pages:,} pages. Narrow the interval, ask for larger pages, or "
                f"raise sources.{source}.max_pages."
            )


def walk(api: Api, spool: Spool, client: Client) -> Iterator[PageReceipt]:
    """Read page after page to the last, each from the spool or else from the source, and then spool it.

    Ends early when the total number of records changes on the way. Raises what `Api.fetch` and `LoopDetector.check` raise.
    """
    detector, read, total = LoopDetector(api), 0, None
    number = 1
    address: str | None = api.address(number)
    while address is not None:
        page = _page(api, spool, client, detector, number, address)
        read, total = read + len(page.records), page.total if number == 1 else total
        yield PageReceipt(number, len(page.records), page.total, page.digest)
        enough = total is None or read >= total
        complete = isinstance(api.paging, ByPage) and total is not None and enough
        # A feed that may go on later gives the cursor of its end again.
        at_end = not page.records and page.next == address and enough
        address = None if complete or at_end or page.total != total else page.next
        number += 1


def read_numbered(api: Api, spool: Spool, client: Client, numbers: range) -> Iterator[PageReceipt]:
    """Read some of the numbered pages, as `walk` does."""
    detector = LoopDetector(api)
    for number in numbers:
        page = _page(api, spool, client, detector, number, api.address(number))
        yield PageReceipt(number, len(page.records), page.total, page.digest)


def _page(api: Api, spool: Spool, client: Client, detector: LoopDetector, number: int, address: str) -> Page:
    spooled = spool.read(number)
    page = spooled or api.fetch(client, address, number)
    detector.check(page)
    if spooled is None:
        spool.write(page)
    return page


def describe_shift(receipts: list[PageReceipt]) -> str | None:
    """A sentence on records that came or went while their pages were read; None when there is no sign of it."""
    totals = [receipt.total for receipt in receipts if receipt.total is not None]
    if len(set(totals)) > 1:
        return f"the total changed from {totals[0]:,} to {next(total for total in totals if total != totals[0]):,}"
    read = sum(receipt.records for receipt in receipts)
    if totals and read != totals[0]:
        return f"{read:,} records came of a total of {totals[0]:,}"
    return None


def repeated_page(receipts: list[PageReceipt]) -> int | None:
    """The number of a page that is the same as an earlier one, which another task may have read; None when there is none."""
    seen: set[str] = set()
    for receipt in receipts:
        if receipt.digest and receipt.digest in seen:
            return receipt.number
        seen.add(receipt.digest)
    return None


def repeat_error(source: str, number: int) -> ExternalError:
    """The error of a page that is the same as an earlier one."""
    return ExternalError(
        f"source {source}: page {number} is one that was read before, so that paging gets nowhere. Fix "
        f"sources.{source}.paging, or the source."
    )
