"""The end of a pipeline run, as a person likes to read it: from the tables, not from memory."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table as Grid

from pipelines.config import MONITOR_NAMES
from pipelines.evaluation.report import metric_rows
from pipelines.features.drift import FeatureDrift
from pipelines.io.filesystem import warehouse_uri
from pipelines.registry.versions import CHAMPION, holder
from pipelines.runtime.context import Context
from pipelines.steps.drift import WHOLE, moved_row
from pipelines.steps.evaluate import trained, training_history
from pipelines.steps.evaluation.findings import MOST_MOVED, compared
from pipelines.steps.evaluation.predictions import EVALUATED_SPLITS, history_metric
from pipelines.steps.evaluation.tables import last_evaluation
from pipelines.steps.pipeline import STEPS
from pipelines.steps.registry import read_history
from schemas import tables

Arguments = Namespace
JOBS = tuple(step.name for step in STEPS)


def print_summary(context: Context, started: float, arguments: Arguments) -> None:
    """Print rows, history, metrics, seconds and places of the interval's latest runs, the champion and what to do with it;
    `started` is the job's monotonic start, in seconds.
    """
    show = context.console.print
    for grid in (_rows(context, JOBS), _history(context), _metrics(context)):
        show(grid)
    _print_seconds(context, JOBS, started)
    _print_places(context, JOBS)
    _print_champion(context, arguments.config)


def print_job(job: str, context: Context, started: float, _: Arguments) -> None:
    """The same of one job: its own rows and metrics, and where its results are."""
    show = context.console.print
    for grid in SECTIONS[job](context) if job in SECTIONS else []:
        show(grid)
    recorded_as = "train" if job == "search" else job
    _print_seconds(context, (recorded_as,), started)
    _print_places(context, (recorded_as,))


def _print_seconds(context: Context, jobs: Sequence[str], started: float) -> None:
    runs = {job: context.runs.latest(job) for job in jobs}
    seconds = {job: run.seconds for job, run in runs.items() if run and run.run_id == context.run_id}
    spent, total = sum(seconds.values()), time.monotonic() - started
    parts = ", ".join(f"{job} {value:.1f}" for job, value in seconds.items()) or "nothing was to be done"
    context.console.print(
        f"[bold]Seconds[/]  {parts}; start-up and the rest {total - spent:.1f}; in all {total:.1f}",
        soft_wrap=True,
        markup=True,
    )


def _print_places(context: Context, jobs: Sequence[str]) -> None:
    show = context.console.print
    warehouse = escape(warehouse_uri(context.config.lake))
    show(f"[bold]Tables[/]   lake.{context.config.pipeline}.* in {warehouse}  (query: make sql)", markup=True)
    artifacts = {name: uri for job in jobs if (run := context.runs.latest(job)) for name, uri in run.artifacts.items()}
    for name in ("model", "report"):
        if name in artifacts:
            show(f"[bold]{name.capitalize():<7}[/]  {escape(artifacts[name])}", soft_wrap=True, markup=True)


def _print_champion(context: Context, config: Path) -> None:
    """The version that is in use, and what to do with it next."""
    show = context.console.print
    if champion := holder(read_history(context), CHAMPION):
        show(f"[bold]Champion[/] version {champion.version} of run {champion.train_run_id}. To use it, try", markup=True)
        for command in _commands(config):
            show(f"           {command}", soft_wrap=True)


def _commands(config: Path) -> list[str]:
    """What to do with a champion next: score rows in a batch, and answer requests."""
    model = f"--model {CHAMPION} --config {config}"
    return [f"spark-submit jobs/predict.py {model}", f"python -m pipelines.serving {model}"]


def _grid(title: str, *columns: str) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        grid.add_column(column, justify="left" if index == 0 else "right")
    return grid


def _rows(context: Context, steps: Sequence[str]) -> Grid:
    grid = _grid("Rows", "step", "source", "in", "out", "quarantined", "duplicates", "filtered")
    grid.columns[1].justify = "left"
    ledger = [row for row in context.lake.rows(tables.ROW_LEDGER, context.whose_interval) if row["step"] in steps]
    for row in sorted(ledger, key=lambda row: (JOBS.index(row["step"]), -row["rows_in"])):
        counts = itemgetter("rows_in", "rows_out", "quarantined", "duplicates", "filtered")(row)
        grid.add_row(row["step"], row["source"], *(f"{count:,}" for count in counts))
    return grid


def _history(context: Context) -> Grid:
    metric = history_metric(context.config)
    name = f"validation {MONITOR_NAMES[metric]}"
    grid = _grid("Training", "epoch", "train loss", "validation loss", name, "learning rate", "rows/s", "")
    for row in training_history(context, trained(context)):
        values = [f"{row[name]:.4f}" for name in ("train_loss", "validation_loss", metric)]
        speed = f"{row['rows_per_second']:,.0f}"
        grid.add_row(
            str(int(str(row["epoch"])) + 1),
            *values,
            f"{row['learning_rate']:.1e}",
            speed,
            "kept" if row["best"] else "",
        )
    return grid


def _metrics(context: Context) -> Grid:
    config = context.config
    metrics: dict[str | None, dict[str, dict[str, float]]] = {
        name: {split: {} for split in EVALUATED_SPLITS} for name in (None, *config.baselines)
    }
    for row in last_evaluation(context):
        metrics[row["baseline"]][row["split"]][row["metric"]] = row["value"]
    columns = compared(config.evaluate, metrics[None], {name: of for name, of in metrics.items() if name})
    grid = _grid("Metrics", "metric", *columns)
    for cells in metric_rows(config.task.kind, columns):
        grid.add_row(*cells)
    return grid


def _trials(context: Context) -> Grid:
    """The trials of the interval's last search."""
    grid = _grid("Trials", "trial", "state", "epochs", "best epoch", "monitor", "value", "seconds", "")
    run = context.runs.needed("train", by="search")
    for row in sorted(context.lake.rows(tables.SEARCH_TRIALS, {"run_id": run.run_id}), key=itemgetter("trial")):
        best, value = row["best_epoch"], row["value"]
        grid.add_row(
            str(row["trial"]), row["state"], str(row["epochs"]), "" if best is None else str(best + 1), row["monitor"],
            "" if value is None else f"{value:.4f}", f"{row['seconds']:.1f}", "kept" if row["promoted"] else "",
        )  # fmt: skip
    return grid


def _moved(context: Context) -> Grid:
    """The features of the interval that have moved most from what the last model was trained on."""
    grid = _grid("Drift", "feature", "PSI", "KS", "missing")
    wanted = {**context.whose_interval, "compared": WHOLE}
    for row in sorted(context.lake.rows(tables.DRIFT_METRICS, wanted), key=itemgetter("psi"), reverse=True)[:MOST_MOVED]:
        grid.add_row(*moved_row(WHOLE, FeatureDrift(**{name: row[name] for name in FeatureDrift._fields}))[1:])
    return grid


SECTIONS: dict[str, Callable[[Context], list[Grid]]] = {
    "ingest": lambda context: [_rows(context, ("ingest",))],
    "clean": lambda context: [_rows(context, ("clean",))],
    "features": lambda context: [_rows(context, ("features",))],
    "train": lambda context: [_history(context)],
    "search": lambda context: [_trials(context), _history(context)],
    "evaluate": lambda context: [_rows(context, ("evaluate",)), _metrics(context)],
    "drift": lambda context: [_moved(context)],
    "replay": lambda context: [_rows(context, ("clean",))],
}
"""What each job prints of its own, from the tables."""
