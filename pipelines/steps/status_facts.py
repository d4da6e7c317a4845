"""How a pipeline is, gathered from the metadata of its tables and the rows of small ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from pipelines.config import METRICS, Pipeline
from pipelines.io.catalog_reader import CatalogReader
from pipelines.io.filesystem import warehouse_uri
from pipelines.registry.versions import CHAMPION, ModelVersion, holder
from pipelines.steps.status_report import (
    Champion,
    JobRun,
    MetricValue,
    Problem,
    ReportedLiveMetric,
    SourceRows,
    StatusReport,
    TableAge,
)
from schemas import tables as stored

INTERVALS = 10  # the last ones of a job, among which a table's newest event is looked for
LIVE_METRICS = "live_metrics"
Row = Mapping[str, Any]


def gather(config: Pipeline, reader: CatalogReader, now: datetime, *, runs: int, max_age: timedelta | None) -> StatusReport:
    """The report of a pipeline at a moment, with the last `runs` of each job; `max_age` is of each source's tables."""
    history = sorted(reader.rows(stored.RUNS.name, {}, stored.RUNS), key=_ended)
    jobs = last_runs(history, reader, runs)
    bounds = {f"{kind}_{name}": max_age for name in config.sources for kind in ("raw", "clean") if max_age}
    tables = table_ages(config, reader, history, now, {**bounds, **config.status.tables})
    problems = (*failures(history), *stale(config, tables, now, set(bounds) | set(config.status.tables)))
    return StatusReport(
        pipeline=config.pipeline,
        time=now,
        warehouse=warehouse_uri(config.lake),
        ok=not problems,
        problems=problems,
        jobs=tuple(jobs),
        tables=tuple(tables),
        sources=tuple(source_rows(config, reader, history)),
        champion=champion(config, reader),
    )


def last_runs(history: Sequence[Row], reader: CatalogReader, most: int) -> list[JobRun]:
    """The last runs of each job, jobs in the order in which they ran last, the newest run of each first."""
    by_job = _by_job(history)
    shown = [row for job in sorted(by_job, key=lambda job: _ended(by_job[job][-1])) for row in by_job[job][: -most - 1 : -1]]
    ids = tuple({str(row["run_id"]) for row in shown})
    ledger = reader.rows(stored.ROW_LEDGER.name, {"run_id": ids}, stored.ROW_LEDGER) if ids else []
    rows: dict[tuple[object, ...], int] = {}
    for account in ledger:
        key = _identity(account, account["step"])
        rows[key] = rows.get(key, 0) + int(account["rows_out"])
    columns = ("job", "status", "run_id", "started_at", "seconds", "interval_from", "interval_to")
    return [
        JobRun(
            **{name: row[name] for name in columns},
            rows=rows.get(_identity(row, row["job"])),
            error=_first_line(row["error"]),
        )
        for row in shown
    ]


def failures(history: Sequence[Row]) -> list[Problem]:
    """The jobs whose last run did not succeed; an application that was interrupted between steps, until a step succeeds."""
    succeeded = [row for row in history if row["status"] == "succeeded"]
    problems = []
    for job, rows in _by_job(history).items():
        last = rows[-1]
        between_steps = not last["fingerprint"]
        if last["status"] == "succeeded" or (between_steps and succeeded and _ended(succeeded[-1]) > _ended(last)):
            continue
        message = f"its last run {last['run_id']} {last['status']}: {_first_line(last['error']) or 'no error is recorded'}"
        problems.append(Problem(kind="failed", subject=job, message=message))
    return problems


def table_ages(
    config: Pipeline, reader: CatalogReader, history: Sequence[Row], now: datetime, bounds: Mapping[str, timedelta]
) -> list[TableAge]:
    """Each table that exists, by name."""
    events = {f"raw_{name}": ("ingest", "event_at") for name in config.sources}
    for name in config.sources:
        if event_time := config.contract(name).event_time:
            events[f"clean_{name}"] = ("clean", event_time)
    ages = []
    for name in reader.tables:
        table = reader.table(name)
        assert table is not None
        written = table.written_at()
        bound = bounds.get(name)
        ages.append(
            TableAge(
                table=name,
                rows=table.records(),
                newest_event=_newest_event(reader, name, history, *events[name]) if name in events else None,
                written_at=written,
                age_seconds=None if written is None else (now - written).total_seconds(),
                max_age_seconds=None if bound is None else bound.total_seconds(),
            )
        )
    return ages


def stale(config: Pipeline, tables: Sequence[TableAge], now: datetime, bounded: Iterable[str]) -> list[Problem]:
    """The tables that are older than they may be, or are to be watched and were never written."""
    problems = []
    by_name = {table.table: table for table in tables}
    for name in sorted(bounded):
        table = by_name.get(name)
        if table is None or table.age_seconds is None or table.max_age_seconds is None:
            problems.append(Problem(kind="stale", subject=name, message="it was never written, or not since snapshots expired"))
        elif table.age_seconds > table.max_age_seconds:
            age, most = shown_age(table.age_seconds), shown_age(table.max_age_seconds)
            problems.append(Problem(kind="stale", subject=name, message=f"it was written {age} ago; expected {most} at most"))
    return [*problems, *_stale_events(config, by_name, now)]


def _stale_events(config: Pipeline, tables: Mapping[str, TableAge], now: datetime) -> list[Problem]:
    most, name = config.status.max_event_age, f"clean_{config.features.rows_of}"
    newest = tables[name].newest_event if name in tables else None
    if most is None or (newest is not None and now - newest <= most):
        return []
    age = f"its newest event is {shown_age((now - newest).total_seconds())} old" if newest else "no event of it is known"
    return [Problem(kind="stale", subject=name, message=f"{age}; expected {shown_age(most.total_seconds())} at most")]


def source_rows(config: Pipeline, reader: CatalogReader, history: Sequence[Row]) -> list[SourceRows]:
    """What became of each source's rows in the interval that clean did last."""
    done = [row for row in history if row["job"] == "clean" and row["status"] == "succeeded"]
    if not done:
        return []
    where = {"step": "clean", **{name: done[-1][name] for name in ("interval_from", "interval_to")}}
    rows = [row for row in reader.rows(stored.ROW_LEDGER.name, where, stored.ROW_LEDGER) if row["source"] in config.sources]
    columns = ("source", "interval_from", "interval_to", "rows_in", "rows_out", "quarantined")
    return [
        SourceRows(**{name: row[name] for name in columns}, quarantined_share=row["quarantined"] / max(row["rows_in"], 1))
        for row in sorted(rows, key=lambda row: -row["rows_in"])
    ]


def champion(config: Pipeline, reader: CatalogReader) -> Champion | None:
    """The champion of the table models, with its metrics on test, and live where the last interval of them has any."""
    versions = [ModelVersion.of(row) for row in reader.rows(stored.MODELS.name, {}, stored.MODELS)]
    version = holder(versions, CHAMPION)
    if version is None:
        return None
    return Champion(
        version=version.version,
        since=_since(versions, version),
        train_run_id=version.train_run_id,
        test=_in_order(config, _test_metrics(reader, version)),
        live=_in_order(config, _live_metrics(reader, version.version)),
    )


def _since(versions: Sequence[ModelVersion], version: ModelVersion) -> datetime:
    """Since when a version has its alias: rows that follow each other without a gap are one span."""
    since = version.valid_from
    for row in sorted(versions, key=lambda row: row.valid_from, reverse=True):
        if row.version == version.version and row.alias == version.alias and row.valid_to == since:
            since = row.valid_from
    return since


def _test_metrics(reader: CatalogReader, version: ModelVersion) -> list[MetricValue]:
    where = {"run_id": version.evaluate_run_id, "split": "test"}
    rows = reader.rows(stored.EVALUATION_METRICS.name, where, stored.EVALUATION_METRICS)
    measured = [MetricValue(**_metric(row)) for row in rows if row["baseline"] is None]
    # A later evaluation of the interval replaces the rows; the registry has the values for good.
    return measured or [MetricValue(metric=name, value=value, low=None, high=None) for name, value in version.metrics.items()]


def _live_metrics(reader: CatalogReader, version: int) -> list[ReportedLiveMetric]:
    rows = reader.rows(LIVE_METRICS, {"model_version": version})
    newest = max((row["interval_to"] for row in rows), default=None)
    columns = ("rows", "interval_from", "interval_to")
    return [
        ReportedLiveMetric(**_metric(row), **{name: row[name] for name in columns})
        for row in rows
        if row["interval_to"] == newest
    ]


def _metric(row: Row) -> dict[str, Any]:
    values = {name: row[name] for name in ("value", "low", "high")}
    known = {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
    return {"metric": row["metric"], **known}


def _in_order(config: Pipeline, metrics: Sequence[Any]) -> tuple[Any, ...]:
    """Those that reports show, in their order."""
    order = METRICS[config.task.kind]
    return tuple(sorted((each for each in metrics if each.metric in order), key=lambda each: order.index(each.metric)))


def _newest_event(reader: CatalogReader, name: str, history: Sequence[Row], job: str, column: str) -> datetime | None:
    table = reader.table(name)
    assert table is not None
    done = {(row["interval_to"], row["interval_from"]) for row in history if (row["job"], row["status"]) == (job, "succeeded")}
    for end, start in sorted(done, reverse=True)[:INTERVALS]:
        newest = table.newest(column, {"interval_from": start, "interval_to": end})
        if newest:
            return newest
    return None


def _by_job(history: Sequence[Row]) -> dict[str, list[Row]]:
    """Runs by job, each job's in the order in which they ended."""
    ordered = sorted(history, key=lambda row: (row["job"], _ended(row)))
    return {job: list(rows) for job, rows in groupby(ordered, key=lambda row: str(row["job"]))}


def _ended(row: Row) -> datetime:
    ended: datetime = row["started_at"] + timedelta(seconds=row["seconds"])
    return ended


def _identity(row: Row, step: object) -> tuple[object, ...]:
    return step, row["run_id"], row["interval_from"], row["interval_to"]


def _first_line(error: str | None) -> str | None:
    return error and error.strip().partition("\n")[0]


def shown_age(seconds: float) -> str:
    """A length of time in its two largest units, such as `3 d 4 h`."""
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            parts.append(f"{int(seconds // length)} {unit}")
            seconds %= length
        elif parts:
            break
    return " ".join(parts[:2]) or f"{seconds:.0f} s"
