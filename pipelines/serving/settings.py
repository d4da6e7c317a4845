"""What the service may take at once, and where it listens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipelines.config import Model

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]


class Limits(Model):
    """Bounds of one request and of all together: bytes, rows, requests and seconds.

    A request may have `rows` rows; `batch_rows` are scored in one call, `queue_rows` wait for it at most. A body takes at most
    `body_seconds` to arrive. A client that reads nothing for `idle_seconds` is disconnected.
    """

    body_bytes: Count = 2 << 20
    rows: Count = 1024
    concurrency: Count = 256
    queue_rows: Count = 4096
    batch_rows: Count = 256
    body_seconds: Seconds = 30.0
    idle_seconds: Seconds = 30.0
    retry_after_seconds: Count = 1


class Settings(Model):
    """How the service runs. `key` is what callers must present; `name` is the model's in the protocol, by default the
    pipeline's.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    key: str | None = None
    insecure: bool = False
    certificate: Path | None = None
    private_key: Path | None = None
    name: str | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    poll_seconds: Seconds = 10.0
    drain_seconds: Seconds = 0.0
    stop_seconds: Seconds = 30.0
    access_log: bool = True
    limits: Limits = Limits()
