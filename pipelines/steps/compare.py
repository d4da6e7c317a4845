"""Compare two evaluation runs: their test metrics side by side, what they differ by and how certain that is, their lineage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich import box
from rich.markup import escape
from rich.table import Table as Terminal

from pipelines.config import METRICS
from pipelines.errors import DataError
from pipelines.evaluation.bootstrap import ConfidenceInterval, confidence_interval, paired_difference
from pipelines.evaluation.report import Findings, Grid, render, shown_bounds
from pipelines.evaluation.verdict import PRIMARY, outcome, spoken, verdict
from pipelines.io.filesystem import write_bytes
from pipelines.io.tables import same_interval
from pipelines.runtime.application import Arguments, run_job
from pipelines.runtime.command_line import compare_parser
from pipelines.runtime.context import Context
from pipelines.steps.evaluation.bootstrap import replicate_metrics
from schemas import tables as stored

LINEAGE = ("interval_from", "interval_to", "config_hash", "code_version", "started_at", "seconds")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation run: its row of `runs`, the test metrics of its model, and its test predictions."""

    row: Mapping[str, Any]
    metrics: Mapping[str, float]
    predictions: DataFrame

    @property
    def run_id(self) -> str:
        """The id of the run that is compared."""
        return str(self.row["run_id"])


def run(argv: Sequence[str]) -> int:
    """Run the job compare and return its exit code."""
    return run_job("compare", compare_parser(), argv, _work)


def _work(context: Context, arguments: Arguments) -> None:
    first, second = (read_evaluation(context, run_id) for run_id in arguments.runs)
    findings = comparison(context, first, second)
    context.console.print(f"\n{findings.verdict}\n")
    for grid in findings.first:
        context.console.print(_terminal(grid))
    report = f"{context.artifacts('reports')}/compare.html"
    write_bytes(report, render(findings).encode())
    context.console.print(f"[bold]Report[/]   {escape(report)}", soft_wrap=True, markup=True)


def read_evaluation(context: Context, run_id: str) -> Evaluation:
    """What a run of evaluate found: its rows of evaluation_metrics and predictions.

    Raises DataError when there is no such run, or its rows are gone: those of earlier versions were replaced by later runs, and
    are in the snapshots that these runs published, until they expire.
    """
    rows = context.lake.rows(stored.RUNS, {"run_id": run_id, "job": "evaluate", "status": "succeeded"})
    if not rows:
        raise DataError(
            f"compare: no successful evaluation has the run id {run_id}; expected one of the table runs where job is "
            f"'evaluate'. Run `make sql` to look."
        )
    outputs = json.loads(rows[0]["outputs"])
    bounds = rows[0]["interval_from"], rows[0]["interval_to"]
    own = {"run_id": run_id, "interval_from": bounds[0], "interval_to": bounds[1]}
    tables = (stored.EVALUATION_METRICS.name, stored.PREDICTIONS.name)
    of_metrics, of_predictions = (_present(context, table, outputs[table]) for table in tables)
    metrics = context.lake.rows(stored.EVALUATION_METRICS, own, of_metrics)
    if not metrics:
        _refuse_expired(run_id, stored.EVALUATION_METRICS.name)
    predictions = context.lake.read(stored.PREDICTIONS.name, of_predictions)
    test = predictions.where(same_interval(*bounds) & (F.col("run_id") == run_id) & (F.col("split") == "test"))
    of_test = {m["metric"]: m["value"] for m in metrics if m["baseline"] is None and m["split"] == "test"}
    return Evaluation(rows[0], of_test, test)


def _present(context: Context, table: str, snapshot: int) -> int | None:
    """The snapshot of a table, where it has not expired; else None, for the table as it is now."""
    snapshots = context.spark.table(f"{context.lake.identifier(table)}.snapshots")
    return None if snapshots.where(F.col("snapshot_id") == snapshot).isEmpty() else snapshot


def _refuse_expired(run_id: str, table: str) -> NoReturn:
    raise DataError(
        f"compare: the snapshot of {table} that run {run_id} published has expired, and its rows are not in the table any "
        f"more; expected one that maintain.snapshot_days keeps. Evaluate that model again, or keep snapshots longer."
    )


def comparison(context: Context, first: Evaluation, second: Evaluation) -> Findings:
    """The second run's model against the first's."""
    config, task = context.config.evaluate, context.config.task
    names = METRICS[task.kind]
    if first.run_id == second.run_id:
        raise DataError(f"compare: both runs are {first.run_id}; expected two different ones.")
    replicates = replicate_metrics(
        {one.run_id: one.predictions for one in (first, second)},
        task=task,
        thresholds={one.run_id: one.metrics.get("threshold", 0.5) for one in (first, second)},
        bins=config.calibration_bins,
        replicates=config.replicates,
    )
    old, new = replicates[first.run_id], replicates[second.run_id]
    same = (old.rows, old.checksum) == (new.rows, new.checksum)
    differences = {name: paired_difference(old, new, name, config.confidence) for name in names} if same else {}
    metric = confidence_interval(new.metrics[PRIMARY[task.kind]], config.confidence)
    against = {f"the model of run {first.run_id}": differences[PRIMARY[task.kind]]} if same else {}
    text = verdict(task.kind, metric, against, None, config.confidence, replicates=config.replicates)
    return Findings(
        title=f"{second.run_id} compared with {first.run_id}",
        task=task.kind,
        verdict=text if same else "The two runs did not predict the same test rows, so nothing says which model is better.",
        first=[_metrics(first, second, differences, names), _lineage(first, second)],
        facts={"first": first.run_id, "second": second.run_id, "compared by": context.run_id},
    )


def _metrics(
    first: Evaluation, second: Evaluation, differences: Mapping[str, ConfidenceInterval], names: Sequence[str]
) -> Grid:
    rows = []
    for name in names:
        difference = differences.get(name)
        cells = (
            (f"{difference.estimate:+.4f}", shown_bounds(difference), outcome(name, difference)) if difference else ("", "", "")
        )
        values = (f"{one.metrics[name]:.4f}" if name in one.metrics else "" for one in (first, second))
        rows.append((spoken(name), *values, *cells))
    return Grid("Metrics on test", ("metric", "first", "second", "difference", "interval", "the second is"), rows)


def _lineage(first: Evaluation, second: Evaluation) -> Grid:
    inputs = [json.loads(one.row["inputs"]) for one in (first, second)]
    rows = [(name, *(str(one.row[name]) for one in (first, second))) for name in LINEAGE]
    rows += [(f"run of {job}", *(of.get(job, "") for of in inputs)) for job in dict.fromkeys([*inputs[0], *inputs[1]])]
    marked = [(*row, "" if row[1] == row[2] else "differs") for row in rows]
    return Grid("Lineage", ("", "first", "second", ""), marked, words=3)


def _terminal(grid: Grid) -> Terminal:
    table = Terminal(title=grid.heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(grid.columns):
        table.add_column(column, justify="left" if index < grid.words else "right")
    for row in grid.rows:
        table.add_row(*row)
    return table
