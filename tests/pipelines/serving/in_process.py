"""Requests to a service in this process, without a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pipelines.serving.app import build_app
from pipelines.serving.gate import Gate
from pipelines.serving.service import Service


async def post(service: Service, *bodies: Any, path: str = "/predict") -> list[tuple[int, dict[bytes, bytes], Any]]:
    """Requests to one path at once, without a server: statuses, headers and answers."""
    app = Gate(build_app(service), service)

    async def one(body: Any) -> tuple[int, dict[bytes, bytes], Any]:
        sent: list[Any] = []
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [],
            "query_string": b"",
            "client": None,
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])

    return list(await asyncio.gather(*(one(body) for body in bodies)))
