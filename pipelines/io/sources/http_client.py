"""One GET of a JSON API: paced, tried again while that may help, its token kept out of every message. No Spark here."""

from __future__ import annotations

import json
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationValueError, MaxRetryError, ResponseError
from urllib3.util import Retry, make_headers

from pipelines.errors import DataError, ExternalError
from pipelines.io.sources.http_proxy import Proxy

LOG = logging.getLogger(__name__)
CHUNK_BYTES = 1 << 16
EXCERPT = 200
REDIRECTS = 5
# A token that is refused says nothing against the address.
TOKEN = (401, 403, 407)
# Too early, too often, or waited too long for us: the same request may do later. So may whatever is the server's fault.
LATER = (408, 425, 429)
HINTS = {
    401: "Put a valid token in the environment variable that sources.{source}.token names.",
    403: "Put a token that may read this in the environment variable that sources.{source}.token names.",
    404: "Fix sources.{source}.url; if there is no such page after the last, give sources.{source}.total.",
    407: "Put the proxy's user and password in its address in the environment variable {variable}.",
}
NO_CONTENT = 204


class RefusedError(ExternalError):
    """Raised when a server refuses a request, however often it is repeated."""


@dataclass(frozen=True)
class Access:
    """How a source accepts requests. Times are in seconds; `token` and the proxy's password are secret, and no part of what an
    object of this prints.

    A page has `timeout_seconds` from the request to its last byte. A request that failed is repeated `retries` times, after
    `backoff_seconds` doubled each time, or after the time of a Retry-After header; no wait is longer than `max_wait_seconds`.
    """

    source: str
    token: str | None = field(default=None, repr=False)
    retries: int = 5
    timeout_seconds: float = 30
    backoff_seconds: float = 1
    max_wait_seconds: float = 300
    requests_per_second: float | None = None
    proxy: Proxy | None = None

    def hide(self, text: str) -> str:
        """A text without the token and the proxy's password."""
        for secret in (self.token, *(self.proxy.secrets if self.proxy else ())):
            text = text.replace(secret, "***") if secret else text
        return text

    @property
    def way(self) -> str:
        """By which proxy the source is reached, as a message says it; empty where there is none."""
        return f" through the proxy {self.proxy.url}, which {self.proxy.variable} names," if self.proxy else ""


class Answer(NamedTuple):
    """A whole answer: its address, its text (empty where the server has none to send), what that is as JSON, and its Link
    header.
    """

    address: str
    text: str
    content: Any
    link: str


class _TransientError(Exception):
    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Client:
    """Asks one source, as the `turn`th (from 0) of so many clients that share its rate, and so do not begin at once."""

    def __init__(self, access: Access, clients: int = 1, turn: int = 0) -> None:
        self._access = access
        rate = access.requests_per_second
        self._gap = clients / rate if rate else 0.0
        self._next = time.monotonic() + turn * self._gap / clients
        # On the way to another host urllib3 takes the Authorization header off. All other retries are made here.
        redirects = Retry(
            total=None, connect=0, read=0, status=0, other=0, redirect=REDIRECTS, respect_retry_after_header=False
        )
        headers = {"Accept": "application/json", "User-Agent": "ringmill", **make_headers(accept_encoding="gzip")}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        self._pool = _manager(access.proxy, headers=headers, retries=redirects, timeout=access.timeout_seconds)

    def get(self, address: str) -> Answer:
        """The answer at an address, tried again while that may help.

        Raises RefusedError on a status that trying again does not change, ExternalError when tries or waits are used up,
        DataError when the answer is no JSON.
        """
        access, last_failure = self._access, ""
        for attempt in range(access.retries + 1):
            self._keep_pace()
            try:
                return self._try(address)
            except _TransientError as error:
                last_failure = str(error)
                if attempt < access.retries:
                    pause = self._pause(address, attempt, error)
                    where = f"source {access.source}: {access.hide(address)}"
                    LOG.debug("%s failed (%s); retry %d of %d in %.1f s", where, error, attempt + 1, access.retries, pause)
                    time.sleep(pause)
        raise ExternalError(
            f"source {access.source}: {access.hide(address)}{access.way} failed {access.retries + 1} times, the last time "
            f"with: {last_failure}. What was fetched so far is kept: run again later to go on from there."
        )

    def _keep_pace(self) -> None:
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._gap

    def _pause(self, address: str, attempt: int, error: _TransientError) -> float:
        """Seconds to wait: the server's Retry-After, else half of the doubled back-off and a random part of the other half
        ("equal jitter": Brooker, Exponential Backoff and Jitter, 2015).
        """
        max_wait, source = self._access.max_wait_seconds, self._access.source
        if error.retry_after is None:
            half = min(max_wait, self._access.backoff_seconds * 2.0**attempt) / 2
            return half + random.uniform(0, half)  # noqa: S311 (spreads requests, keeps no secret)
        if error.retry_after > max_wait:
            raise ExternalError(
                f"source {source}: {self._access.hide(address)} asked to wait {error.retry_after:,.0f} seconds ({error}), more "
                f"than sources.{source}.max_wait_seconds ({max_wait:,.0f}). Run again later, or raise it."
            )
        return error.retry_after

    def _try(self, address: str) -> Answer:
        deadline = time.monotonic() + self._access.timeout_seconds
        try:
            response = self._pool.request("GET", address, preload_content=False)
            try:
                body = self._read(response, deadline)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except HTTPError as error:
            reason = error.reason or error if isinstance(error, MaxRetryError) else error
            if isinstance(reason, ResponseError | LocationValueError):
                problem = (
                    f"redirects more than {REDIRECTS} times"
                    if isinstance(reason, ResponseError)
                    else "is or leads to no address"
                )
                source = self._access.source
                where = self._access.hide(address)
                raise RefusedError(f"source {source}: {where} {problem}. Fix sources.{source}.url.") from error
            raise _TransientError(self._access.hide(f"{type(reason).__name__}: {reason}")) from error
        except ValueError as error:  # of a redirect, from Python's own reader of addresses
            source, where = self._access.source, self._access.hide(address)
            raise RefusedError(f"source {source}: {where} redirects to what is no address ({error}).") from error
        self._check_status(address, response, body)
        return self._parse(address, response, body)

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        # A read has a time limit of its own; this one is for answers that come drop by drop.
        parts = []
        while part := response.read1(CHUNK_BYTES):
            parts.append(part)
            if time.monotonic() > deadline:
                raise urllib3.exceptions.TimeoutError(f"not whole after {self._access.timeout_seconds:g} seconds")
        return b"".join(parts)

    def _check_status(self, address: str, response: urllib3.BaseHTTPResponse, body: bytes) -> None:
        if response.status in (200, NO_CONTENT):
            return
        status = f"{response.status} {response.reason or ''}".strip() + self._excerpt(body)
        if response.status in LATER or response.status >= 500:
            raise _TransientError(status, _retry_after(response))
        variable = self._access.proxy.variable if self._access.proxy else "http_proxy"
        hint = HINTS.get(response.status, "Fix sources.{source}.url or .params.")
        hint = hint.format(source=self._access.source, variable=variable)
        kind = ExternalError if response.status in TOKEN else RefusedError
        where = f"{self._access.hide(address)}{self._access.way}"
        raise kind(f"source {self._access.source}: {where} answered {status}; expected 200. {hint}")

    def _parse(self, address: str, response: urllib3.BaseHTTPResponse, body: bytes) -> Answer:
        if response.status == NO_CONTENT:
            return Answer(address, "", None, "")
        try:
            text = body.decode("utf-8-sig")
            return Answer(address, text, json.loads(text), ", ".join(response.headers.getlist("Link")))
        except (ValueError, RecursionError) as error:
            problem = _json_problem(error, body)
            if problem is None:
                raise _TransientError(f"an answer that is not whole JSON ({error})") from error
            kind = response.headers.get("Content-Type", "no content type")
            raise DataError(
                f"source {self._access.source}: the answer of {self._access.hide(address)} is {problem}: received {kind}"
                f"{self._excerpt(body)}. Fix sources.{self._access.source}.url."
            ) from error

    def _excerpt(self, body: bytes) -> str:
        text = " ".join(self._access.hide(body.decode("utf-8", "replace")).split())
        return f" ('{text[:EXCERPT]}{'…' if len(text) > EXCERPT else ''}')" if text else ""


def _manager(proxy: Proxy | None, **settings: Any) -> urllib3.PoolManager:
    return (
        urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **settings) if proxy else urllib3.PoolManager(**settings)
    )


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """The seconds of a Retry-After header, which has seconds or a date; None when it is missing or means nothing."""
    try:
        return Retry().get_retry_after(response)
    except InvalidHeader:
        return None


def _json_problem(error: Exception, body: bytes) -> str | None:
    """What an answer is that is no JSON; None for one that began as JSON, was cut on the way, and may come whole."""
    if isinstance(error, UnicodeDecodeError):
        is_cut = error.reason == "unexpected end of data"
        return None if is_cut else f"not UTF-8, as JSON is (byte {body[error.start]:02x} at {error.start})"
    if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
        return "more than one JSON value"
    return None if body.lstrip()[:1] in (b"", b"{", b"[") else "no JSON"
