"""Request bodies, read up to a bound of bytes and seconds."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from pipelines.serving.failures import RequestError, TimeoutRequestError, TooLargeError, UnsupportedError
from pipelines.serving.settings import Limits

MOST_DISCARDED = 256 << 20  # bytes of a refused body that are still read, so that the client sees the answer
CLOSE = {"connection": "close"}


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body. Raises TooLargeError past `body_bytes`, TimeoutRequestError past `body_seconds`."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise UnsupportedError(f"Content-Encoding is {encoding}; expected a body that is not compressed.", CLOSE)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read(request, limits.body_bytes)
    except TimeoutError as error:
        raise TimeoutRequestError(f"the body did not arrive within {limits.body_seconds:g} seconds.", CLOSE) from error


async def _read(request: Request, most: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    size = int(declared) if declared.isascii() and declared.isdigit() else 0
    too_large = TooLargeError(f"the body has more than {most:,} bytes. Send fewer rows at once.", CLOSE)
    if size > most and (request.headers.get("expect", "").lower() == "100-continue" or size > MOST_DISCARDED):
        raise too_large
    parts: list[bytes] = []
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > MOST_DISCARDED:
            break
        if received <= most:
            parts.append(part)
        else:
            parts.clear()
    if received > most:
        raise too_large
    return b"".join(parts)


def header_bytes(request: Request) -> int | None:
    """The length of the JSON before binary data; none where the whole body is JSON."""
    value = request.headers.get("inference-header-content-length")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()) or len(value) > 12:
        raise RequestError(f"Inference-Header-Content-Length is {value[:40]!r}; expected a whole number of bytes.")
    return int(value)
