"""What `jobs/status.py` reports, as typed data: its JSON is these models, key by key."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pipelines.config import Model


class JobRun(Model):
    """A run of a job over an interval, from the table runs. `rows` are what came out, by row_ledger; None where it has none."""

    job: str
    status: Literal["succeeded", "failed", "interrupted"]
    run_id: str
    started_at: datetime
    seconds: float
    interval_from: datetime
    interval_to: datetime
    rows: int | None
    error: str | None
    """Its first line."""


class TableAge(Model):
    """How fresh a table is: rows on main, its newest event (of the last intervals, by Iceberg's metadata), when it was written
    and how long ago, and the age from which it is stale, None for never.
    """

    table: str
    rows: int | None
    newest_event: datetime | None
    written_at: datetime | None
    age_seconds: float | None
    max_age_seconds: float | None


class SourceRows(Model):
    """The account of a source in the interval that was cleaned last."""

    source: str
    interval_from: datetime
    interval_to: datetime
    rows_in: int
    rows_out: int
    quarantined: int
    quarantined_share: float


class MetricValue(Model):
    """A metric and the bounds of its bootstrap interval, each None where it is not defined."""

    metric: str
    value: float | None
    low: float | None
    high: float | None


class ReportedLiveMetric(MetricValue):
    """A metric of rows that the champion scored and whose labels are known by now."""

    rows: int
    interval_from: datetime
    interval_to: datetime


class Champion(Model):
    """The version that has the alias champion, since when, and its metrics on test and live."""

    version: int
    since: datetime
    train_run_id: str
    test: tuple[MetricValue, ...]
    live: tuple[ReportedLiveMetric, ...]


class Problem(Model):
    """What is wrong: `failed` with a job as subject, `stale` with a table."""

    kind: Literal["failed", "stale"]
    subject: str
    message: str


class StatusReport(Model):
    """How a pipeline is at a moment. It is well when there are no problems."""

    pipeline: str
    time: datetime
    warehouse: str
    ok: bool
    problems: tuple[Problem, ...]
    jobs: tuple[JobRun, ...]
    tables: tuple[TableAge, ...]
    sources: tuple[SourceRows, ...]
    champion: Champion | None
