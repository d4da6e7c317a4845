"""The section `notify`: a webhook that is called when a run fails, features drift or tables are stale."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.model import Model

Event = Literal["failed", "drift", "stale"]


class NotifyConfig(Model):
    """A webhook gets one POST of a JSON object an event. When it can't be reached, the job warns and ends as it would have."""

    url: str = Field(description="name of the environment variable with the address, which may be secret")
    events: tuple[Event, ...] = Field(
        ("failed", "drift", "stale"),
        description="what is sent: failed (a job), drift (beyond a bound), stale (of jobs/status.py)",
    )
    timeout_seconds: float = Field(5, gt=0, le=60, description="seconds to connect, and as many to answer")
