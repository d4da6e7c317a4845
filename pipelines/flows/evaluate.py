"""Score validation and test rows on Spark, measure, draw the report, and hold the model against its gate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import itemgetter

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.config import EvaluateConfig
from pipelines.errors import QualityError
from pipelines.evaluation.plots import training_plot
from pipelines.evaluation.report import Findings, render
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.drift import moved_row
from pipelines.flows.judging import JUDGED, Judged, Metrics, history_metric, judge
from pipelines.flows.runs import Run
from pipelines.flows.train import FEATURES, snapshot_tag
from pipelines.io.audit import Audit
from pipelines.io.tables import struct
from pipelines.serving.batches import SCORES, score_batches
from pipelines.stages.accounting import Account, check_accounts
from pipelines.stages.drift import Moved
from pipelines.stages.splits import SPLITS
from pipelines.storage import write_bytes
from schemas import lake
from schemas.contract import Table

MOST_MOVED = 10


def trained(context: Context) -> Run:
    """The interval's last training run; raises DataError when there is none."""
    return context.runs.needed("train", by="evaluate")


def inputs(context: Context) -> dict[str, str]:
    """The run that trained the model, and the one that made the features."""
    run = trained(context)
    return {"train": run.run_id, **run.inputs}


def work(context: Context) -> Outcome:
    """Write predictions, evaluation_metrics and the report; then raise QualityError when the model misses its gate."""
    run = trained(context)
    with context.audit("evaluate") as audit:
        # The snapshot that the model was trained on: features made since may be scaled otherwise.
        rows = context.lake.read(FEATURES, snapshot_tag(run.run_id)).where(context.in_interval & F.col("split").isin(*JUDGED))
        scored = context.stamped(_score(context, rows, run.artifacts["model"])).withColumn("model_run_id", F.lit(run.run_id))
        account = Account("evaluate", "features", rows.count(), audit.stage(lake.PREDICTIONS, scored, context.in_interval))
        check_accounts([account])
        judged = judge(context.config, audit.read(lake.PREDICTIONS).where(context.in_interval), rows)
        _stage_metrics(context, audit, run, judged)
        context.stage_ledger(audit, "evaluate", [account])
        report = f"{context.artifacts('reports')}/report.html"
        write_bytes(report, render(_findings(context, run, judged)).encode())
        outcome = Outcome((account,), audit.publish(), {"report": report})
    _check_gate(context.config.evaluate, judged.metrics["test"], report)
    return outcome


def _score(context: Context, rows: DataFrame, model: str) -> DataFrame:
    label = "label" if context.config.horizon is None else "labels"
    kept = ("row_id", "split", label)
    contract = Table("scored", tuple(lake.PREDICTIONS.column(name) for name in (*kept, *SCORES)))
    named = rows.withColumnRenamed("label", label)
    scored = named.mapInArrow(partial(score_batches, uri=model, kept=kept), struct(contract))
    missing = [column for column in lake.PREDICTIONS.columns if column.name in ("label", "labels") and column.name != label]
    return scored.withColumns({column.name: F.lit(None).cast(column.type) for column in missing})


def _stage_metrics(context: Context, audit: Audit, run: Run, judged: Judged) -> None:
    start, end = context.bounds
    judged_of: list[tuple[str | None, Metrics]] = [(None, judged.metrics), *judged.baselines.items()]
    rows: list[dict[str, object]] = [
        {
            "run_id": context.run_id, "interval_from": start, "interval_to": end, "model_run_id": run.run_id,
            "split": split, "metric": metric, "value": value, "baseline": baseline,
        }
        for baseline, of in judged_of
        for split, values in of.items()
        for metric, value in values.items()
    ]  # fmt: skip
    audit.stage_rows(lake.EVALUATION_METRICS, rows, context.whose_interval)


def compared(config: EvaluateConfig, metrics: Metrics, baselines: Mapping[str, Metrics]) -> dict[str, Mapping[str, float]]:
    """Metrics by what they are of: each split, each baseline on test, another model's figures on test."""
    columns = {**metrics, **{name.replace("_", " "): of["test"] for name, of in baselines.items()}}
    return {**columns, config.yardstick_name: config.yardstick} if config.yardstick else columns


def _findings(context: Context, run: Run, judged: Judged) -> Findings:
    config = context.config
    metric = history_metric(config)
    return Findings(
        title=config.title or config.pipeline,
        task=config.task.kind,
        facts={
            "interval": f"{context.interval.start} to {context.interval.end}",
            "splits": f"{config.features.split}; rows: {_proportions(context, run)}",
            "model": run.artifacts["model"],
            "network": ", ".join(f"{name} {value}" for name, value in config.train.network.model_dump().items()),
            **judged.facts,
            "runs": f"features {run.inputs['features']}, train {run.run_id}, evaluate {context.run_id}",
        },
        metrics=compared(config.evaluate, judged.metrics, judged.baselines),
        plots={"Training": training_plot(training_history(context, run), metric), **judged.plots},
        drift=_drift(context),
    )


def _drift(context: Context) -> list[tuple[str, ...]]:
    rows = sorted(context.lake.rows(lake.DRIFT_METRICS, context.whose_interval), key=itemgetter("psi"), reverse=True)
    return [moved_row(row["compared"], Moved(**{name: row[name] for name in Moved._fields})) for row in rows[:MOST_MOVED]]


def _proportions(context: Context, run: Run) -> str:
    rows = context.lake.read(FEATURES, snapshot_tag(run.run_id)).where(context.in_interval)
    counts = {row.split: row["count"] for row in rows.groupBy("split").count().collect()}
    every = sum(counts.values())
    return ", ".join(f"{split} {counts[split]:,} ({counts[split] / every:.1%})" for split in SPLITS)


def training_history(context: Context, run: Run) -> list[dict[str, object]]:
    """A training run's epochs, in order."""
    return sorted(context.lake.rows(lake.TRAINING_HISTORY, {"run_id": run.run_id}), key=itemgetter("epoch"))


def _check_gate(config: EvaluateConfig, found: Mapping[str, float], report: str) -> None:
    missed = [f"{name} {found[name]:.4f} < {bound}" for name, bound in config.minimum.items() if not found[name] >= bound]
    missed += [f"{name} {found[name]:.4f} > {bound}" for name, bound in config.maximum.items() if not found[name] <= bound]
    if missed:
        raise QualityError(
            f"evaluate: the model misses its gate on test: {', '.join(missed)}. The tables and {report} say more; train "
            f"again, or change evaluate.minimum or maximum."
        )


STEP = Step("evaluate", ("evaluate", "task"), inputs, work)
