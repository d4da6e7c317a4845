"""What every request to the application passes: its path, the caller's key, the bound of requests in work, and the records."""

from __future__ import annotations

import hmac
import os
import re
import time

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.serving.failures import BusyError, RequestError, UnauthorizedError
from pipelines.serving.recorder import RequestOutcome
from pipelines.serving.service import Service

OPEN_PATHS = ("/", "/v2/health/live", "/v2/health/ready")  # probes have no key, and the page asks for one
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
UNBOUND_PATHS = (*OPEN_PATHS, "/metrics")


def request_id(scope: Scope) -> str:
    """The caller's own id of a request, where it is one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if REQUEST_ID.fullmatch(value) else os.urandom(16).hex()
    return os.urandom(16).hex()


def has_key(scope: Scope, key: bytes) -> bool:
    """Whether a header has the key. Every candidate is compared in full, in a time that does not depend on it."""
    matches = False
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            matches |= hmac.compare_digest(value, key)
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            matches |= hmac.compare_digest(value[7:], key)
    return matches


def error_response(error: RequestError) -> Response:
    """A refused request's answer."""
    return Response(orjson.dumps({"error": str(error)}), error.status, error.headers, "application/json")


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope["path"] = path = path.rstrip("/") or "/"

        name = request_id(scope)
        scope.setdefault("state", {})["request_id"] = name

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
            await send(message)

        try:
            await self._pass(scope, receive, answer)
        finally:
            route = getattr(scope.get("endpoint"), "__name__", "none")
            served = scope["state"].get("served")
            self._service.recorder.record(scope, name, RequestOutcome(route, status, time.perf_counter() - started, served))

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits, path = self._service.settings.limits, scope["path"]
        try:
            if self._service.key is not None and path not in OPEN_PATHS and not has_key(scope, self._service.key):
                raise UnauthorizedError(
                    "no key, or not the right one; expected Authorization: Bearer <key>, or X-API-Key: <key>.",
                    {"www-authenticate": "Bearer"},
                )
            if path not in UNBOUND_PATHS and self._service.in_flight >= limits.concurrency:
                raise BusyError(
                    f"{limits.concurrency:,} requests are in work. Try again.", {"retry-after": str(limits.retry_after_seconds)}
                )
        except RequestError as error:
            await error_response(error)(scope, receive, send)
            return
        self._service.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._service.in_flight -= 1
