"""A status report on the terminal."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from pipelines.config import Pipeline
from pipelines.steps.status_facts import shown_age
from pipelines.steps.status_report import Champion, MetricValue, StatusReport


def print_status(console: Console, config: Pipeline, report: StatusReport) -> None:
    """Print jobs, tables, sources, the champion and what is wrong, with times by the pipeline's clock."""
    zone = ZoneInfo(config.timezone)
    console.print(
        f"[bold]Pipeline[/] {report.pipeline} at {_at(report.time, zone)} ({config.timezone}), in {escape(report.warehouse)}",
        soft_wrap=True,
        markup=True,
    )
    console.print(_jobs(report, zone))
    _print_errors(console, report)
    console.print(_tables(report, zone))
    console.print(_sources(report, zone))
    _print_champion(console, report.champion, zone)
    for problem in report.problems:
        console.print(f"{problem.kind:>9}: {problem.subject}: {problem.message}", style="yellow", soft_wrap=True, markup=False)
    if report.ok:
        console.print("[bold]Problems[/] none", markup=True)


def _jobs(report: StatusReport, zone: ZoneInfo) -> Grid:
    grid = _grid("Last runs", ["job", "interval", "status"], ["started", "took", "rows"])
    for run in report.jobs:
        interval = f"{_at(run.interval_from, zone)} to {_at(run.interval_to, zone)}"
        rows = "" if run.rows is None else f"{run.rows:,}"
        grid.add_row(run.job, interval, run.status, _at(run.started_at, zone), f"{run.seconds:.1f} s", rows)
    return grid


def _print_errors(console: Console, report: StatusReport) -> None:
    problems = " ".join(problem.message for problem in report.problems)
    for run in report.jobs:
        if run.error and run.run_id not in problems:  # those are named at the end
            console.print(f"{run.job:>9}: run {run.run_id}: {run.error}", soft_wrap=True, markup=False)


def _tables(report: StatusReport, zone: ZoneInfo) -> Grid:
    grid = _grid("Tables", ["table"], ["rows", "newest event", "written", "age", "at most"])
    for table in report.tables:
        ages = (None if age is None else shown_age(age) for age in (table.age_seconds, table.max_age_seconds))
        times = (None if time is None else _at(time, zone) for time in (table.newest_event, table.written_at))
        rows = None if table.rows is None else f"{table.rows:,}"
        grid.add_row(table.table, *(text or "" for text in (rows, *times, *ages)))
    return grid


def _sources(report: StatusReport, zone: ZoneInfo) -> Grid:
    grid = _grid("Sources in the interval that was cleaned last", ["source", "interval"], ["in", "out", "quarantined", "share"])
    for source in report.sources:
        interval = f"{_at(source.interval_from, zone)} to {_at(source.interval_to, zone)}"
        counts = (f"{count:,}" for count in (source.rows_in, source.rows_out, source.quarantined))
        grid.add_row(source.source, interval, *counts, f"{source.quarantined_share:.3%}")
    return grid


def _print_champion(console: Console, champion: Champion | None, zone: ZoneInfo) -> None:
    if champion is None:
        console.print("[bold]Champion[/] none", markup=True)
        return
    since = _at(champion.since, zone)
    console.print(f"[bold]Champion[/] version {champion.version} of run {champion.train_run_id} since {since}", markup=True)
    for name, metrics in (("test", champion.test), ("live", champion.live)):
        if metrics:
            rows = f" of {champion.live[0].rows:,} rows to {_at(champion.live[0].interval_to, zone)}" if name == "live" else ""
            console.print(f"{name:>9}{rows}: {', '.join(map(_shown, metrics))}", soft_wrap=True, markup=False)


def _shown(metric: MetricValue) -> str:
    value = "undefined" if metric.value is None else f"{metric.value:.4f}"
    bounds = "" if metric.low is None or metric.high is None else f" ({metric.low:.4f} to {metric.high:.4f})"
    return f"{metric.metric} {value}{bounds}"


def _grid(title: str, words: list[str], numbers: list[str]) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in words:
        grid.add_column(column)
    for column in numbers:
        grid.add_column(column, justify="right")
    return grid


def _at(time: datetime, zone: ZoneInfo) -> str:
    return f"{time.astimezone(zone):%Y-%m-%d %H:%M}"
