"""What every request passes: its path, the caller's key, the bound of requests in work, the access log and the metrics."""

from __future__ import annotations

import hmac
import logging
import time
import uuid

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.serving.failures import BusyError, RequestError, UnauthorizedError
from pipelines.serving.service import Service

ACCESS = logging.getLogger("pipelines.serving.access")
OPEN_PATHS = ("/", "/v2/health/live", "/v2/health/ready")  # probes have no key, and the page asks for one
UNBOUND_PATHS = (*OPEN_PATHS, "/metrics")


def error_response(error: RequestError) -> Response:
    """A refused request's answer."""
    return Response(orjson.dumps({"error": str(error)}), error.status, error.headers, "application/json")


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._key = service.settings.key.encode() if service.settings.key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope["path"] = path = path.rstrip("/") or "/"

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, answer)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits, path = self._service.settings.limits, scope["path"]
        try:
            if self._key is not None and path not in OPEN_PATHS and not self._has_key(scope, self._key):
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

    @staticmethod
    def _has_key(scope: Scope, key: bytes) -> bool:
        """Whether a header has the key. Every candidate is compared in full, in a time that does not depend on it."""
        matches = False
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                matches |= hmac.compare_digest(value, key)
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                matches |= hmac.compare_digest(value[7:], key)
        return matches

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        endpoint = scope.get("endpoint")
        route = getattr(endpoint, "__name__", "none")
        self._service.metrics.observe_request(route, status, seconds)
        if not self._service.settings.access_log:
            return
        client = scope.get("client")
        line = {
            "time": time.time(),
            "request": uuid.uuid4().hex[:16],
            "method": scope["method"],
            "path": scope["path"][:200],
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "client": client[0] if client else None,
            **scope.get("state", {}).get("served", {}),
        }
        ACCESS.info(orjson.dumps(line).decode())
