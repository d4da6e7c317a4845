"""The results of evaluate as rows of its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from pipelines.evaluation.bootstrap import ConfidenceInterval
from pipelines.evaluation.importance import Importance
from pipelines.evaluation.verdict import PRIMARY
from pipelines.io.audit import Audit
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run
from pipelines.steps.evaluation.confidence import MODEL, Confidence, Intervals
from pipelines.steps.evaluation.predictions import EvaluatedPredictions, Metrics
from schemas import tables
from schemas.contract import Table

Row = dict[str, object]
SUPPRESSED = "suppressed"


def write_evaluation(
    context: Context,
    audit: Audit,
    run: Run,
    evaluated: EvaluatedPredictions,
    confidence: Confidence | None,
    importance: Sequence[Importance],
) -> None:
    """Write metrics, differences, slices and importance, beside those of earlier runs."""
    start, end = context.bounds
    stamp: Row = {"run_id": context.run_id, "interval_from": start, "interval_to": end, "model_run_id": run.run_id}
    rows: list[tuple[Table, Iterable[Row]]] = [(tables.EVALUATION_METRICS, _metrics(evaluated, confidence))]
    if confidence is not None:
        rows += [(tables.MODEL_DIFFERENCES, _differences(confidence)), (tables.SLICE_METRICS, _slices(confidence))]
    if importance:
        metric = PRIMARY[context.config.task.kind]
        rows.append((tables.FEATURE_IMPORTANCE, ({**one._asdict(), "metric": metric} for one in importance)))
    own = {**context.whose_interval, "run_id": context.run_id}
    context.at_once(*(partial(audit.write_rows, table, [{**stamp, **row} for row in of], own) for table, of in rows))


def last_evaluation(context: Context, model_run_id: str | None = None) -> list[dict[str, Any]]:
    """The rows of evaluation_metrics that the window's last evaluation wrote, of any model or of one training run's; none where
    there is no such evaluation.
    """
    where = context.whose_interval | ({"model_run_id": model_run_id} if model_run_id else {})
    rows = context.lake.rows(tables.EVALUATION_METRICS, where)
    ids = sorted({str(row["run_id"]) for row in rows})
    if len(ids) > 1:
        begun = {run.run_id: run.started_at.timestamp() for run in context.runs.all("evaluate")}
        ids.sort(key=lambda run_id: begun.get(run_id, 0.0))
    return [row for row in rows if row["run_id"] == ids[-1]]


def _metrics(evaluated: EvaluatedPredictions, confidence: Confidence | None) -> Iterator[Row]:
    models: list[tuple[str | None, Metrics]] = [(None, evaluated.metrics), *evaluated.baselines.items()]
    intervals: dict[str | None, Intervals] = {}
    if confidence is not None:
        intervals.update(confidence.baselines)
        intervals[None] = confidence.model
    for baseline, of in models:
        for split, values in of.items():
            for metric, value in values.items():
                bounds = intervals.get(baseline, {}).get(metric) if split == "test" else None
                yield {"split": split, "metric": metric, "value": value, "baseline": baseline, **_bounds(bounds)}


def _differences(confidence: Confidence) -> Iterator[Row]:
    for baseline, metrics in confidence.differences.items():
        for metric, difference in metrics.items():
            yield {"baseline": baseline, "metric": metric, "difference": _number(difference.estimate), **_bounds(difference)}


def _slices(confidence: Confidence) -> Iterator[Row]:
    for one in confidence.slices:
        shared: Row = {"split": "test", "features": list(one.features), "values": list(one.values), "rows": one.rows}
        for metric, value in one.intervals.items():
            yield {**shared, "metric": metric, "value": _number(value.estimate), **_bounds(value)}
    for few in confidence.suppressed:
        shared = {"split": "test", "features": list(few.features), "rows": few.rows}
        yield {**shared, "metric": SUPPRESSED, "value": float(few.groups)}


def _bounds(interval: ConfidenceInterval | None) -> Row:
    return {} if interval is None else {"low": _number(interval.low), "high": _number(interval.high)}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def thresholds(evaluated: EvaluatedPredictions) -> dict[str, float]:
    """The threshold of the model and of each baseline, where the task has them."""
    models = {MODEL: evaluated.metrics, **evaluated.baselines}
    return {name: of["test"]["threshold"] for name, of in models.items() if "threshold" in of["test"]}
