"""Score validation and test rows on Spark, measure, draw the report, and hold the model against its gate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.errors import QualityError
from pipelines.evaluation.curve import Curve
from pipelines.evaluation.metrics import all_metrics, best_f1_threshold
from pipelines.evaluation.report import Findings, render
from pipelines.flows.context import Context, Outcome, Step
from pipelines.flows.runs import Run
from pipelines.flows.train import FEATURES, snapshot_tag
from pipelines.io.audit import Audit
from pipelines.io.tables import struct
from pipelines.serving.bundle import score_batches
from pipelines.stages.accounting import Account, check_accounts
from pipelines.stages.splits import SPLITS
from pipelines.storage import write_bytes
from schemas import lake
from schemas.contract import Table

JUDGED = ("validation", "test")
MOST_MOVED = 10
KEPT = ("row_id", "split", "label")


def trained(context: Context) -> Run:
    """The interval's last training run; raises DataError when there is none."""
    return context.runs.needed("train", by="evaluate")


def inputs(context: Context) -> dict[str, str]:
    """The run that trained the model, and the one that made the features."""
    run = trained(context)
    return {"train": run.run_id, **run.inputs}


def work(context: Context) -> Outcome:
    """Write predictions, evaluation_metrics and the report; then raise QualityError when the model misses its gate."""
    config, run = context.config.evaluate, trained(context)
    with context.audit("evaluate") as audit:
        # The snapshot that the model was trained on: features made since may be scaled otherwise.
        rows = context.lake.read(FEATURES, snapshot_tag(run.run_id)).where(context.in_interval & F.col("split").isin(*JUDGED))
        scored = context.stamped(_score(rows, run.artifacts["model"])).withColumn("model_run_id", F.lit(run.run_id))
        account = Account("evaluate", "features", rows.count(), audit.stage(lake.PREDICTIONS, scored, context.in_interval))
        check_accounts([account])
        curves = _curves(audit.read(lake.PREDICTIONS).where(context.in_interval))
        threshold = best_f1_threshold(curves["validation"])
        metrics = {name: all_metrics(curve, threshold, config.calibration_bins) for name, curve in curves.items()}
        _stage_metrics(context, audit, run, metrics)
        context.stage_ledger(audit, "evaluate", [account])
        report = f"{context.artifacts('reports')}/report.html"
        write_bytes(report, render(_findings(context, run, curves, metrics, threshold)).encode())
        outcome = Outcome((account,), audit.publish(), {"report": report})
    _check_gate(config.minimum, metrics["test"], report)
    return outcome


def _score(rows: DataFrame, model: str) -> DataFrame:
    contract = Table("scored", tuple(lake.PREDICTIONS.column(name) for name in (*KEPT, "score")))
    return rows.mapInArrow(partial(score_batches, uri=model, kept=KEPT), struct(contract))


def _curves(predictions: DataFrame) -> dict[str, Curve]:
    """Counts by split and distinct score: at most 16 bytes a distinct score reach the driver, never the rows."""
    positive = F.count_if(F.col("label") > 0.5).alias("positives")
    negative = F.count_if(F.col("label") <= 0.5).alias("negatives")
    counted = predictions.groupBy("split", "score").agg(positive, negative).toArrow().to_pandas()
    parts = {name: counted[counted["split"] == name] for name in JUDGED}
    return {n: Curve.of(*(p[c].to_numpy() for c in ("score", "positives", "negatives"))) for n, p in parts.items()}


def _stage_metrics(context: Context, audit: Audit, run: Run, metrics: Mapping[str, Mapping[str, float]]) -> None:
    start, end = context.bounds
    rows: list[dict[str, object]] = [
        {
            "run_id": context.run_id, "interval_from": start, "interval_to": end, "model_run_id": run.run_id,
            "split": split, "metric": metric, "value": value,
        }
        for split, values in metrics.items()
        for metric, value in values.items()
    ]  # fmt: skip
    frame = context.lake.frame(lake.EVALUATION_METRICS, rows)
    audit.stage(lake.EVALUATION_METRICS, frame, context.in_interval)


def _findings(
    context: Context, run: Run, curves: dict[str, Curve], metrics: dict[str, dict[str, float]], threshold: float
) -> Findings:
    config = context.config
    return Findings(
        title=config.title or config.pipeline,
        facts={
            "interval": f"{context.interval.start} to {context.interval.end}",
            "splits": f"{config.features.split}; rows: {_proportions(context, run)}",
            "model": run.artifacts["model"],
            "network": ", ".join(f"{name} {value}" for name, value in config.train.network.model_dump().items()),
            "threshold": f"{threshold:.4f}, the best F1 on validation",
            "runs": f"features {run.inputs['features']}, train {run.run_id}, evaluate {context.run_id}",
        },
        history=training_history(context, run),
        curves=curves,
        metrics=metrics,
        threshold=threshold,
        classes=config.evaluate.classes,
        bins=config.evaluate.calibration_bins,
        yardstick_name=config.evaluate.yardstick_name,
        yardstick=config.evaluate.yardstick,
        drift=_drift(context),
    )


def _drift(context: Context) -> list[tuple[str, ...]]:
    rows = context.lake.read(lake.DRIFT_METRICS.name).where(context.in_interval).orderBy(F.desc("psi")).limit(MOST_MOVED)
    return [
        (row.compared, row.feature, f"{row.psi:.3f}", "" if row.ks is None else f"{row.ks:.3f}", f"{row.missing:+.1%}")
        for row in rows.collect()
    ]


def _proportions(context: Context, run: Run) -> str:
    rows = context.lake.read(FEATURES, snapshot_tag(run.run_id)).where(context.in_interval)
    counts = {row.split: row["count"] for row in rows.groupBy("split").count().collect()}
    every = sum(counts.values())
    return ", ".join(f"{split} {counts[split]:,} ({counts[split] / every:.1%})" for split in SPLITS)


def training_history(context: Context, run: Run) -> list[dict[str, object]]:
    """A training run's epochs, in order."""
    rows = context.lake.read(lake.TRAINING_HISTORY.name).where(F.col("run_id") == run.run_id)
    return [row.asDict() for row in rows.orderBy("epoch").collect()]


def _check_gate(minimum: Mapping[str, float], found: Mapping[str, float], report: str) -> None:
    missed = [f"{name} {found[name]:.4f} < {bound}" for name, bound in minimum.items() if not found[name] >= bound]
    if missed:
        raise QualityError(
            f"evaluate: the model misses its gate on test: {', '.join(missed)}. The tables and {report} say more; train "
            f"again, or change evaluate.minimum."
        )


STEP = Step("evaluate", ("evaluate",), inputs, work)
