"""How well registered models do on rows that they scored before their labels were known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from pyspark.sql import functions as F

from pipelines.config import METRICS
from pipelines.evaluation.bootstrap import ConfidenceInterval, confidence_interval
from pipelines.evaluation.report import Grid, shown_bounds
from pipelines.evaluation.verdict import spoken
from pipelines.io.audit import Audit
from pipelines.registry.versions import current
from pipelines.runtime.context import Context
from pipelines.steps.evaluation.bootstrap import replicate_metrics
from pipelines.steps.registry import read_history
from schemas import tables

SCORES = "scores"


class LiveMetric(NamedTuple):
    """A metric of one version on the interval's labelled rows, with its bootstrap interval."""

    version: int
    rows: int
    metric: str
    value: ConfidenceInterval


def scored_by(context: Context) -> dict[str, str]:
    """The runs that scored the window's rows last, as an input of what measures them; none when nothing was scored."""
    start, end = context.bounds
    runs = [run.run_id for of, run in context.runs.everywhere("predict").items() if start <= of.start and of.end <= end]
    return {"predict": ", ".join(runs)} if runs else {}


def measure_live(context: Context) -> list[LiveMetric]:
    """Measure each version on the window's rows that it scored and whose labels are known by now, in one Spark pass."""
    if context.lake.snapshot_id(SCORES) is None:
        return []
    label = "label" if context.config.horizon is None else "labels"
    rows = context.lake.read(SCORES).where(context.replaced & F.col(label).isNotNull())
    versions = sorted(row.model_version for row in rows.select("model_version").distinct().collect())
    if not versions:
        return []
    settings, thresholds = context.config.evaluate, _thresholds(context)
    measured = replicate_metrics(
        {str(version): rows.where(F.col("model_version") == version) for version in versions},
        task=context.config.task,
        thresholds={str(version): thresholds.get(version, 0.5) for version in versions},
        bins=settings.calibration_bins,
        replicates=settings.replicates,
    )
    return [
        LiveMetric(
            version,
            measured[str(version)].rows,
            name,
            confidence_interval(measured[str(version)].metrics[name], settings.confidence),
        )
        for version in versions
        for name in METRICS[context.config.task.kind]
    ]


def write_live(context: Context, audit: Audit, live: Sequence[LiveMetric]) -> None:
    """Write the metrics, in the place of the interval's former ones."""
    start, end = context.bounds
    stamp: dict[str, object] = {"run_id": context.run_id, "interval_from": start, "interval_to": end}
    rows: list[dict[str, object]] = [
        {**stamp, "model_version": one.version, "rows": one.rows, "metric": one.metric, **_finite(one.value)} for one in live
    ]
    audit.write_rows(tables.LIVE_METRICS, rows, context.whose_interval)


def live_grids(live: Sequence[LiveMetric]) -> list[Grid]:
    """A table of the report for each version."""
    columns = ("metric", "value", "interval")
    return [
        Grid(
            f"Version {version} on the {rows:,} rows whose labels are known",
            columns,
            [(spoken(one.metric), f"{one.value.estimate:.4f}", shown_bounds(one.value)) for one in group],
        )
        for (version, rows), group in groupby(live, key=lambda one: (one.version, one.rows))
    ]


def _thresholds(context: Context) -> dict[int, float]:
    """By version, the threshold that its evaluation chose, where it did."""
    return {row.version: row.metrics["threshold"] for row in current(read_history(context)) if "threshold" in row.metrics}


def _finite(value: ConfidenceInterval) -> dict[str, object]:
    names = ("value", "low", "high")
    return {name: number if number == number else None for name, number in zip(names, value, strict=True)}  # noqa: PLR0124
