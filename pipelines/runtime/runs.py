"""The table `runs`: what was done, from what, to what. It is the lineage, and tells work that is already done."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from operator import itemgetter
from typing import Any

from pipelines.config import Interval
from pipelines.errors import DataError
from pipelines.io.driver_rows import Bound
from pipelines.io.lake import Lake
from schemas.tables import RUNS

TICK = timedelta(milliseconds=1)


def new_run_id() -> str:
    """A name for a run: the time in UTC, and a few letters that no other run of that second has."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}_{uuid.uuid4().hex[:6]}"


@dataclass(frozen=True)
class Run:
    """One row of the table `runs`: a step's work over one interval."""

    run_id: str
    pipeline: str
    job: str
    status: str
    fingerprint: str
    config_hash: str
    code_version: str
    started_at: datetime
    seconds: float
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def ended(self) -> datetime:
        """When the run ended: its start plus its seconds."""
        return self.started_at + timedelta(seconds=self.seconds)


class RunLog:
    """The runs of one interval: read once, added to as steps end."""

    def __init__(self, lake: Lake, interval: Interval) -> None:
        self._lake = lake
        self._interval = interval
        self._runs: list[Run] | None = None

    def latest(self, job: str) -> Run | None:
        """The job's last successful run over this interval; None when there is none."""
        done = [run for run in self._read() if run.job == job and run.status == "succeeded"]
        # By their ends: of runs at once, the one that published last stands, whichever began first.
        return max(done, key=lambda run: run.ended, default=None)

    def needed(self, job: str, by: str) -> Run:
        """The job's last successful run, which another job goes on from; raises DataError, naming it, when there is none."""
        run = self.latest(job)
        if run is None:
            bounds = (self._interval.start, self._interval.end)
            span = "all data" if self._interval.is_whole else " to ".join(f"{bound:%Y-%m-%d %H:%M}" for bound in bounds)
            raise DataError(f"{by}: {job} has not been done for {span}. Run jobs/{job}.py over the same interval first.")
        return run

    def ids(self, job: str) -> set[str]:
        """All successful runs of a job over this interval or one within it, whether their work still stands or not."""
        within = {"interval_from": Bound(">=", self._interval.start), "interval_to": Bound("<=", self._interval.end)}
        return {row["run_id"] for row in self._lake.rows(RUNS, {"job": job, "status": "succeeded", **within})}

    def within(self, job: str) -> dict[tuple[datetime, datetime], Run]:
        """The job's last successful run over each interval that lies within this one, by its bounds in UTC; see `latest`."""
        within = {"interval_from": Bound(">=", self._interval.start), "interval_to": Bound("<=", self._interval.end)}
        latest: dict[tuple[datetime, datetime], Run] = {}
        for row in self._lake.rows(RUNS, {"job": job, "status": "succeeded", **within}):
            bounds = row["interval_from"].astimezone(UTC), row["interval_to"].astimezone(UTC)
            run = _from_row(row)
            if bounds not in latest or latest[bounds].ended < run.ended:
                latest[bounds] = run
        return latest

    def all(self, job: str) -> list[Run]:
        """All runs of a job over whichever interval, failed ones too."""
        return [_from_row(row) for row in self._lake.rows(RUNS, {"job": job})]

    def everywhere(self, job: str) -> dict[Interval, Run]:
        """The job's last successful run over each interval, in order of time and in this interval's time zone."""
        zone = self._interval.start.tzinfo
        rows = self._lake.rows(RUNS, {"job": job, "status": "succeeded"})
        latest: dict[Interval, Run] = {}
        for row in sorted(rows, key=itemgetter("interval_from", "interval_to", "started_at")):
            latest[_interval_of(row, zone)] = _from_row(row)
        return latest

    def add(self, run: Run) -> None:
        """Record a run; one that ended after those read before ends after them in the table too, whatever the clock shows."""
        last = self.latest(run.job)
        if last and run.ended <= last.ended:  # the clock was set back meanwhile
            run = replace(run, started_at=last.ended + TICK - timedelta(seconds=run.seconds))
        self._read().append(run)
        self._lake.append_rows(RUNS, [_as_row(run, self._interval)])

    def add_all(self, runs: Mapping[Interval, Run]) -> None:
        """Record runs of other intervals, in one commit."""
        self._lake.append_rows(RUNS, [_as_row(run, interval) for interval, run in runs.items()])

    def _read(self) -> list[Run]:
        if self._runs is None:
            whole = {"interval_from": self._interval.start, "interval_to": self._interval.end}
            self._runs = [_from_row(row) for row in self._lake.rows(RUNS, whole)]
        return self._runs


def _as_row(run: Run, interval: Interval) -> dict[str, object]:
    return {
        **vars(run),
        "interval_from": interval.start,
        "interval_to": interval.end,
        "inputs": json.dumps(run.inputs, sort_keys=True),
        "outputs": json.dumps(run.outputs, sort_keys=True),
        "artifacts": json.dumps(run.artifacts, sort_keys=True),
    }


def _interval_of(row: dict[str, Any], zone: tzinfo | None) -> Interval:
    return Interval(start=row["interval_from"].astimezone(zone), end=row["interval_to"].astimezone(zone))


def _from_row(row: dict[str, Any]) -> Run:
    row = {name: value for name, value in row.items() if name not in ("interval_from", "interval_to")}
    parsed = {name: json.loads(str(row[name])) for name in ("inputs", "outputs", "artifacts")}
    return Run(**{**row, **parsed})
