"""Score validation and test rows on Spark, measure, draw the report, and hold the model against its gate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import itemgetter

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account, check_accounts
from pipelines.errors import QualityError
from pipelines.evaluation.importance import Importance
from pipelines.evaluation.report import render
from pipelines.io.audit import Audit
from pipelines.io.filesystem import write_bytes
from pipelines.registry.digest import bundle_hash
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run
from pipelines.runtime.step import Outcome, Step
from pipelines.serving.batches import score_batches
from pipelines.steps.evaluation.assessment import Assessment, assess, gate_of
from pipelines.steps.evaluation.confidence import Confidence, confidence
from pipelines.steps.evaluation.evidence import Measured
from pipelines.steps.evaluation.findings import ReportContents, draw_plots, findings, largest_errors
from pipelines.steps.evaluation.fitted_baselines import fit_baselines, trained_files, trained_spec
from pipelines.steps.evaluation.importance import permutation_importance
from pipelines.steps.evaluation.predictions import EVALUATED_SPLITS, EvaluatedPredictions, evaluate_predictions
from pipelines.steps.evaluation.recalibrate import Recalibrated, recalibrate
from pipelines.steps.evaluation.tables import thresholds, write_evaluation
from pipelines.steps.scoring import score_features
from pipelines.steps.train import FEATURES, snapshot_tag
from schemas import tables


def trained(context: Context) -> Run:
    """The interval's last training run; raises DataError when there is none."""
    return context.runs.needed("train", by="evaluate")


def inputs(context: Context) -> dict[str, str]:
    """The run that trained the model, and the one that made the features."""
    run = trained(context)
    return {"train": run.run_id, **run.inputs}


def work(context: Context) -> Outcome:
    """Write predictions, evaluation_metrics and the report; then raise QualityError when the model misses its gate.

    The report's gate is publish's as well; what misses that alone is refused there.
    """
    run = trained(context)
    with context.audit("evaluate") as audit, context.beside() as beside:
        # The snapshot that the model was trained on: features made since may be scaled otherwise.
        rows = context.lake.read(FEATURES, snapshot_tag(run.run_id)).where(
            context.in_interval & F.col("split").isin(*EVALUATED_SPLITS)
        )
        fitting = beside.start(partial(fit_baselines, context, run))
        predictions, account = _predict(context, audit, run, rows)
        permuting = beside.start(partial(_importance, context, run))
        fitted = fitting.result()
        evaluated = evaluate_predictions(context.config, predictions, rows, fitted.predictions)
        # While Spark's tasks draw the replicates, the driver draws the plots and compares the model with the champion.
        drawing = beside.start(partial(draw_plots, context.config, evaluated, training_history(context, run)))
        assessing = beside.start(partial(_assess, context, run, evaluated))
        looking = beside.start(partial(largest_errors, context.config, predictions))
        intervals = _confidence(context, run, predictions, rows, evaluated, fitted.predictions)
        importance, (calibration, assessment) = permuting.result(), assessing.result()
        staging = beside.start(partial(write_evaluation, context, audit, run, evaluated, intervals, importance))
        context.write_ledger(audit, "evaluate", [account])
        facts = {**fitted.facts, **calibration.facts}
        contents = ReportContents(
            run, evaluated, intervals, importance, assessment, account, facts, drawing.result(), looking.result()
        )  # fmt: skip
        report = f"{context.artifacts('reports')}/report.html"
        write_bytes(report, render(findings(context, contents)).encode())
        staging.result()
        files = {"report": report, **calibration.files, **_store_comparison(context, assessment)}
        outcome = Outcome((account,), audit.publish(), files)
    if missed := gate_of(context.config.evaluate, evaluated.metrics["test"]).missed:
        raise QualityError(
            f"evaluate: the model misses its gate on test: {', '.join(missed)}. The tables and {report} say more; train "
            f"again, or change evaluate.minimum or maximum."
        )
    return outcome


def _predict(context: Context, audit: Audit, run: Run, rows: DataFrame) -> tuple[DataFrame, Account]:
    """Stage the predictions of all rows; these predictions, and the account."""
    scored = score_features(context, rows, run.artifacts["model"])
    scored = context.stamped(scored).withColumn("model_run_id", F.lit(run.run_id))
    own = context.in_interval & (F.col("run_id") == F.lit(context.run_id))  # those of earlier runs stay
    account = Account("evaluate", "features", rows.count(), audit.write(tables.PREDICTIONS, scored, own))
    check_accounts([account])
    return audit.read(tables.PREDICTIONS).where(own), account


def _assess(context: Context, run: Run, evaluated: EvaluatedPredictions) -> tuple[Recalibrated, Assessment]:
    """Calibrate the model, and hold what is to be registered against the champion and the gate."""
    calibration = recalibrate(context, run, evaluated)
    measured = Measured(run, calibration.model, bundle_hash(calibration.model), evaluated.metrics["test"])
    return calibration, assess(context, measured)


def _store_comparison(context: Context, assessment: Assessment) -> dict[str, str]:
    """Where the comparison with the champion is kept for publish."""
    if assessment.comparison is None:
        return {}
    path = f"{context.artifacts('comparisons')}/comparison.json"
    write_bytes(path, assessment.comparison.model_dump_json().encode())
    return {"comparison": path}


def _confidence(
    context: Context,
    run: Run,
    predictions: DataFrame,
    rows: DataFrame,
    evaluated: EvaluatedPredictions,
    fitted: Mapping[str, DataFrame],
) -> Confidence | None:
    """Intervals and slices, where the configuration asks for either."""
    config = context.config
    if not config.evaluate.replicates and not config.evaluate.slices:
        return None
    spec = trained_spec(context, run) if config.evaluate.slices else None
    return confidence(config, spec, predictions, rows, thresholds(evaluated), fitted)


def _importance(context: Context, run: Run) -> list[Importance]:
    """Permutation importance on test rows of the snapshot that was trained on, where the configuration asks for it."""
    rows, task = context.config.evaluate.importance_rows, context.config.task
    if not rows:
        return []
    spec, files = trained_spec(context, run), trained_files(context, run, "test")
    return permutation_importance(context.spark, score_batches, run.artifacts["model"], task, spec, files, rows)


def training_history(context: Context, run: Run) -> list[dict[str, object]]:
    """A training run's epochs, in order."""
    return sorted(context.lake.rows(tables.TRAINING_HISTORY, {"run_id": run.run_id}), key=itemgetter("epoch"))


STEP = Step("evaluate", ("evaluate", "task"), inputs, work, reads=("features", "feature_stats", "training_history"))
