"""The section `notify`: a webhook that is called when a run fails, features drift or tables are stale."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.model import Model

Event = Literal["failed", "drift", "stale"]


class NotifyConfig(Model):
    """A webhook gets one POST of a JSON object an event. When it can't be reached, the job warns and ends as it would have."""

    url: str
    """Name of the environment variable with the address, which may be secret."""
    events: tuple[Event, ...] = ("failed", "drift", "stale")
    """What is sent: that a job failed, that features drifted beyond a bound, that jobs/status.py found something stale."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5
    """Seconds to connect, and as many to answer."""
