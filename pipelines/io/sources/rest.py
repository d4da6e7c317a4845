"""A JSON API as a source: its pages are fetched by executors, through Spark's Python data sources, and then read as rows."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import Interval
from pipelines.errors import ConfigError, ExternalError, RingmillError
from pipelines.io.sources.base import Source
from pipelines.io.sources.files import PLACEHOLDER
from pipelines.io.sources.http_client import Access, RefusedError
from pipelines.io.sources.http_pages import Api, PageReceipt, describe_shift, repeat_error, repeated_page
from pipelines.io.sources.http_proxy import proxy_for
from pipelines.io.sources.json_files import parse_json
from pipelines.io.sources.page_source import ERRORS, Fetch, FetchJob
from pipelines.io.sources.page_spool import Spool
from pipelines.io.sources.paging import ByPage, OnePage, Paging
from schemas.contract import Table

INSTANT = "%Y-%m-%dT%H:%M:%SZ"
Seconds = Annotated[float, Field(gt=0)]


class RestApi(Source):
    """A JSON API that answers GET, page by page.

    Pages are kept in a spool until they have landed, so that a run that broke off goes on from there.
    """

    kind: Literal["rest"]
    url: str
    """Address without a secret, since it lands beside the rows. `${NAME}` is an environment variable, `{from}` and `{to}` are
    the interval's bounds, as in `params`.
    """
    params: dict[str, str] = {}
    """Parameters of the query. `{from:%Y-%m-%d}` and `{to:…}` are the interval's bounds by strftime: in UTC where the format
    ends with Z, as it does by default, else in the pipeline's `timezone`.
    """
    records: str = ""
    """Dotted path to the array of records. Empty where the answer itself is the array."""
    paging: Paging = OnePage()
    """How the API gives its pages."""
    total: str | None = None
    """Dotted path to the number of all records. Without it records that come or go meanwhile can be missed."""
    token: str | None = None
    """Name of the environment variable with the bearer token, not the token."""
    retries: Annotated[int, Field(ge=0)] = 5
    """Times that a request is tried again after an error that may pass."""
    timeout_seconds: Seconds = 30
    """Seconds that an answer may take."""
    backoff_seconds: Annotated[float, Field(ge=0)] = 1
    """Seconds before the first retry, doubled each time, with jitter. What Retry-After asks for comes before it."""
    max_wait_seconds: Seconds = 300
    """Longest wait before a retry, in seconds. A server that asks for more ends the run (exit 5)."""
    requests_per_second: Seconds | None = None
    """Most requests a second, of all tasks together. Without it there is no limit."""
    connections: Annotated[int, Field(ge=1)] = 1
    """Tasks that fetch at once, where pages are numbered and `total` is given; else one fetches."""
    rereads: Annotated[int, Field(ge=0)] = 2
    """Times that all pages are read again when `total` shows that they have shifted."""
    max_pages: Annotated[int, Field(ge=1)] = 100_000
    """Most pages. A source with more ends the run (exit 5)."""
    spool_hours: Annotated[float, Field(ge=0)] = 24
    """Hours for which fetched pages are kept, so that a run that broke off goes on from them."""

    fields_by_row: ClassVar[bool] = True
    _folder: str = PrivateAttr("")

    @property
    def location(self) -> str:
        """The address as it is configured."""
        return self.url

    @property
    def sliced(self) -> bool:
        """Whether the request depends on the interval."""
        return any(PLACEHOLDER.search(text) for text in (self.url, *self.params.values()))

    def keeping(self, folder: str) -> RestApi:
        """The same source with its spools in a folder."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def forget(self, contract: Table, interval: Interval) -> None:
        """Remove the interval's spool."""
        self._spool(contract, interval).discard()

    def check(self, contract: Table, interval: Interval) -> None:
        """Raise ConfigError when an environment variable is not set, or the address is none."""
        self._api(contract, interval, token=self._token(contract))

    def version(self, spark: SparkSession, contract: Table, interval: Interval) -> str:
        """A digest of the request. An API does not report whether its answer has changed, so an interval that has landed
        counts as unchanged until --force lands it again.
        """
        return self._digest(contract, interval)

    def read(self, spark: SparkSession, contract: Table, interval: Interval) -> DataFrame:
        """The interval's rows, once all pages have been fetched; as `Source.read` says."""
        api = self._api(contract, interval, token=self._token(contract))
        spool = self._spool(contract, interval)
        spool.discard_older(self.spool_hours)
        fetch = Fetch(spark, FetchJob(api, spool))
        rows = fetch.rows(self._fetch_whole(fetch, contract))
        return parse_json(rows, contract, self.rename, self.drift, F.col("address"), F.col("page"), F.col("row"))

    def explain(self, error: Exception, contract: Table) -> RingmillError | None:
        """The error of ours that a task raised while it read the spool; None for any other."""
        match = re.search(rf"pipelines\.[\w.]+\.({'|'.join(ERRORS)}): ([^\n]*)", str(error))
        return ERRORS[match[1]](match[2]) if match else None

    def _fetch_whole(self, fetch: Fetch, contract: Table) -> int:
        """Fetch all pages, again when they shift; return how many there are."""
        why: str | None = None
        for _ in range(self.rereads + 1):
            receipts = self._resume(fetch)
            why = describe_shift(receipts)
            if why is None:
                return len(receipts)
            fetch.spool.discard()
        raise ExternalError(
            f"source {contract.name}: {self.url}: records came or went while the pages were read, {self.rereads + 1} times: "
            f"{why}. Run again when the source is quiet, narrow the interval, or fix sources.{contract.name}.total."
        )

    def _resume(self, fetch: Fetch) -> list[PageReceipt]:
        begun = fetch.spool.read(1) is not None
        try:
            return self._fetch(fetch)
        except RefusedError:
            # What an earlier run was to ask for next may be no longer valid, as a cursor is after a while.
            if not begun:
                raise
            fetch.spool.discard()
            return self._fetch(fetch)

    def _fetch(self, fetch: Fetch) -> list[PageReceipt]:
        if self.connections == 1 or not isinstance(self.paging, ByPage):
            return fetch.pages()
        first = fetch.pages(last=1)
        if not first[0].total or not first[0].records:
            return fetch.pages()
        # As many as the first page has, which may be fewer than it was asked for.
        last = min(math.ceil(first[0].total / first[0].records), self.max_pages + 1)
        receipts = first + fetch.pages(start=2, last=last, tasks=self.connections) if last > 1 else first
        if describe_shift(receipts) is None and (number := repeated_page(receipts)):
            fetch.spool.discard()
            raise repeat_error(fetch.source, number)
        return receipts

    def _api(self, contract: Table, interval: Interval, token: str | None) -> Api:
        url = re.sub(r"\$\{(\w+)\}", lambda match: self._environment("url", match[1], contract), self.url)
        if not _is_plain_address(url):
            raise ConfigError(
                f"sources.{contract.name}.url: expected http:// or https://, a host and a path, with no user, password or "
                f"fragment. Give the environment variable of a bearer token as sources.{contract.name}.token."
            )
        # The driver's environment counts, for the token as for the proxy: executors may be started in another.
        access = Access(
            contract.name, token, self.retries, self.timeout_seconds, self.backoff_seconds, self.max_wait_seconds,
            self.requests_per_second, proxy_for(url),
        )  # fmt: skip
        params = {name: _filled(text, interval) for name, text in self.params.items()}
        return Api(access, _filled(url, interval), params, self.records, self.paging, self.total, self.max_pages)

    def _token(self, contract: Table) -> str | None:
        return self._environment("token", self.token, contract) if self.token else None

    def _environment(self, key: str, name: str, contract: Table) -> str:
        value = os.environ.get(name, "")
        if not value or not (value.isascii() and value.isprintable()):
            raise ConfigError(
                f"sources.{contract.name}.{key}: the environment variable {name} is "
                f"{'not one line of ASCII' if value else 'not set'}. Set it where the job is started."
            )
        return value

    def _spool(self, contract: Table, interval: Interval) -> Spool:
        assert self._folder, "keeping() gives a source the folder of its spools"
        return Spool(f"{self._folder}/{self._digest(contract, interval)}")

    def _digest(self, contract: Table, interval: Interval) -> str:
        api = self._api(contract, interval, token=None)
        request = [api.url, api.params, api.records, api.total, self.paging.model_dump()]
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _is_plain_address(url: str) -> bool:
    """Whether a URL has a scheme that is known, a host, and a port that there can be, and nothing secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.scheme in ("http", "https") and parts.hostname and port != 0
    return bool(plain) and "@" not in parts.netloc and not parts.fragment


def _filled(template: str, interval: Interval) -> str:
    bounds = {"from": interval.start, "to": interval.end}
    return PLACEHOLDER.sub(lambda match: _written(bounds[match[1]], match[2] or INSTANT), template)


def _written(bound: datetime, form: str) -> str:
    in_utc = form.endswith("Z") and not form.endswith("%Z")
    return (bound.astimezone(UTC) if in_utc else bound).strftime(form)
