"""The end of a pipeline run, as a person likes to read it: from the tables, not from memory."""

from __future__ import annotations

import time
from operator import itemgetter
from pathlib import Path

from rich import box
from rich.table import Table as Grid

from pipelines.config import MONITOR_NAMES
from pipelines.evaluation.report import metric_rows
from pipelines.flows.context import Context
from pipelines.flows.evaluate import trained, training_history
from pipelines.flows.findings import compared
from pipelines.flows.judging import JUDGED, history_metric
from pipelines.flows.pipeline import STEPS
from pipelines.flows.registry import read_history
from pipelines.registry.versions import CHAMPION, holder
from pipelines.storage import warehouse_uri
from schemas import lake

JOBS = tuple(step.name for step in STEPS)


def print_summary(context: Context, started: float, config: Path) -> None:
    """Print rows, history, metrics, seconds and places of the interval's latest runs, the champion and what to do with it;
    `started` is the job's monotonic start, in seconds, and `config` the file of its configuration.
    """
    say = context.console.print
    say()
    say(_rows(context))
    say(_history(context))
    say(_metrics(context))
    runs = {job: context.runs.latest(job) for job in JOBS}
    seconds = {job: run.seconds for job, run in runs.items() if run and run.run_id == context.run_id}
    spent, total = sum(seconds.values()), time.monotonic() - started
    parts = ", ".join(f"{job} {value:.1f}" for job, value in seconds.items()) or "nothing was to be done"
    say(f"[bold]Seconds[/]  {parts}; start-up and the rest {total - spent:.1f}; in all {total:.1f}")
    train, evaluate = trained(context), runs["evaluate"]
    say(f"[bold]Tables[/]   lake.{context.config.pipeline}.* in {warehouse_uri(context.config.lake)}  (query: make sql)")
    say(f"[bold]Model[/]    {train.artifacts['model']}", soft_wrap=True)
    if evaluate:
        say(f"[bold]Report[/]   {evaluate.artifacts['report']}", soft_wrap=True)
    if champion := holder(read_history(context), CHAMPION):
        say(f"[bold]Champion[/] version {champion.version} of run {champion.train_run_id}. To use it, try")
        for command in _commands(config):
            say(f"           {command}", soft_wrap=True)


def _commands(config: Path) -> list[str]:
    """What to do with a champion next: score rows in a batch, and answer requests."""
    model = f"--model {CHAMPION} --config {config}"
    return [f"spark-submit jobs/predict.py {model}", f"python -m pipelines.serving {model}"]


def _grid(title: str, *columns: str) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        grid.add_column(column, justify="left" if index == 0 else "right")
    return grid


def _rows(context: Context) -> Grid:
    grid = _grid("Rows", "stage", "source", "in", "out", "quarantined", "duplicates", "filtered")
    grid.columns[1].justify = "left"
    ledger = [row for row in context.lake.rows(lake.ROW_LEDGER, context.whose_interval) if row["stage"] in JOBS]
    for row in sorted(ledger, key=lambda row: (JOBS.index(row["stage"]), -row["rows_in"])):
        counts = itemgetter("rows_in", "rows_out", "quarantined", "duplicates", "filtered")(row)
        grid.add_row(row["stage"], row["source"], *(f"{count:,}" for count in counts))
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
        name: {split: {} for split in JUDGED} for name in (None, *config.baselines)
    }
    for row in context.lake.rows(lake.EVALUATION_METRICS, context.whose_interval):
        metrics[row["baseline"]][row["split"]][row["metric"]] = row["value"]
    columns = compared(config.evaluate, metrics[None], {name: of for name, of in metrics.items() if name})
    grid = _grid("Metrics", "metric", *columns)
    for cells in metric_rows(config.task.kind, columns):
        grid.add_row(*cells)
    return grid
