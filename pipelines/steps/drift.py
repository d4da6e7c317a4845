"""Hold an interval's features against those that the last model was trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.errors import DataError, QualityError
from pipelines.evaluation.report import Findings, Grid, render
from pipelines.features.drift import BrokenBound, FeatureDrift, broken_bounds, measure_drifts
from pipelines.features.fit import fitted_requests, stats_of
from pipelines.features.fitted import FittedSpec
from pipelines.features.groups import INTERVAL, every_row
from pipelines.features.kinds.statistics import Profiles, Stats
from pipelines.features.profiles import profile, sampling_step
from pipelines.features.sketches import ProfileRequest
from pipelines.io.audit import Audit
from pipelines.io.filesystem import write_bytes
from pipelines.runtime.context import Context
from pipelines.runtime.notify import notify
from pipelines.runtime.runs import Run
from pipelines.runtime.step import Outcome, Step
from pipelines.runtime.window import window_runs
from pipelines.steps.evaluation.live_metrics import live_grids, measure_live, scored_by, write_live
from pipelines.steps.examples import examples
from pipelines.steps.registry import refused_runs
from pipelines.steps.train import stats_of_training
from schemas import tables

LOG = logging.getLogger(__name__)

WHOLE = INTERVAL
NAMED = 5


def trained(context: Context) -> Run:
    """The last successful training run over whichever interval, but for those whose gate failed; raises DataError when there is
    none.
    """
    runs = [run for run in context.runs.all("train") if run.status == "succeeded"]
    if not runs:
        raise DataError("drift: no model has been trained. Run jobs/train.py over some interval first.")
    refused = refused_runs(context)
    usable = [run for run in runs if run.run_id not in refused]
    last = max(runs, key=lambda run: run.started_at)
    if not usable:
        raise DataError(
            f"drift: no trained model has passed its gate; run {last.run_id}: {refused[last.run_id]} Train a better one, or "
            f"change the gate and run jobs/evaluate.py and jobs/publish.py again."
        )
    if last.run_id in refused:
        LOG.warning(f"    drift: run {last.run_id} is not used, its gate failed")
    return max(usable, key=lambda run: run.started_at)


def inputs(context: Context) -> dict[str, str]:
    """The runs that cleaned the window, the one that trained the model, and the one that scored the window, if any did."""
    return {**window_runs(context, by=STEP.name), "train": trained(context).run_id, **scored_by(context)}


def work(context: Context) -> Outcome:
    """Write drift_metrics of all the interval's examples, labelled or not, live_metrics of the scored rows whose labels are
    known, and a report of both; then raise QualityError when a feature moved beyond a bound that fails.
    """
    model = trained(context)
    reference = model.inputs["features"]
    spec, stats = _reference(context, model)
    with examples(context, by=STEP.name) as (_, files, sources, _), context.audit("drift") as audit:
        rows_in = sources[context.config.features.rows_of].rows_in
        profile_request = ProfileRequest(fitted_requests(spec), every_row, (), values=sampling_step(rows_in))
        [profiles] = profile(context.spark, files, [profile_request])
        now = stats_of(spec, profiles.get(WHOLE, Profiles()))
        moved = measure_drifts(spec, stats, now)
        write_drift(context, audit, {WHOLE: moved}, reference)
        live = measure_live(context)
        write_live(context, audit, live)
        held = audit.read(tables.DRIFT_METRICS).where((F.col("compared") == WHOLE) & (F.col("reference_run_id") == reference))
        report = f"{context.artifacts('reports')}/drift.html"
        write_bytes(report, render(_findings(context, model, moved, held, live_grids(live))).encode())
        outcome = Outcome(outputs=audit.publish(), artifacts={"report": report})
    LOG.info(f"   report: {report}")
    broken = broken_bounds(moved, stats, now, context.config.drift)
    warn_of("the interval against what was trained on", broken)
    failed = [each.text for each in broken if each.severity == "fail"]
    if failed:
        raise QualityError(
            f"drift: features have moved from what the model was trained on: {'; '.join(failed[:NAMED])}. "
            f"drift_metrics and {report} say more; train anew, or change drift.*.fail."
        )
    if broken:
        notify("drift", f"drift: features have moved: {'; '.join(each.text for each in broken[:NAMED])}", severity="warn")
    return outcome


def moved_row(compared: str, moved: FeatureDrift) -> tuple[str, ...]:
    """A feature's drift as a row of text for a report."""
    return compared, moved.feature, f"{moved.psi:.3f}", "" if moved.ks is None else f"{moved.ks:.3f}", f"{moved.missing:+.1%}"


def _findings(context: Context, model: Run, moved: Sequence[FeatureDrift], held: DataFrame, live: Sequence[Grid]) -> Findings:
    """Live metrics; the interval's features, the most moved first; and the most moved of each interval held against the same
    training.
    """
    worst = held.groupBy("interval_from", "interval_to").agg(F.max_by(F.struct(*FeatureDrift._fields), "psi").alias("worst"))
    intervals = [
        (context.shown(row.interval_from, row.interval_to), FeatureDrift(*row.worst))
        for row in worst.orderBy("interval_from", "interval_to").collect()
    ]
    return Findings(
        title=f"{context.config.title or context.config.pipeline}: drift",
        task=context.config.task.kind,
        facts={
            "interval": context.shown(*context.bounds),
            "model": model.artifacts["model"],
            "runs": f"features {model.inputs['features']}, train {model.run_id}, drift {context.run_id}",
        },
        first=live,
        drift=[moved_row(WHOLE, each) for each in sorted(moved, key=lambda each: -each.psi)],
        intervals=[moved_row(*each) for each in intervals],
    )


def write_drift(context: Context, audit: Audit, moved: Mapping[str, Sequence[FeatureDrift]], reference: str) -> None:
    """Write drift by what was compared (a split, or the whole interval), in the place of the same of former runs."""
    start, end = context.bounds
    rows: list[dict[str, object]] = [
        {
            "run_id": context.run_id, "interval_from": start, "interval_to": end,
            "reference_run_id": reference, "compared": compared, **each._asdict(),
        }
        for compared, features in moved.items()
        for each in features
    ]  # fmt: skip
    audit.write_rows(tables.DRIFT_METRICS, rows, {**context.whose_interval, "compared": tuple(moved)})


def warn_of(what: str, broken: Sequence[BrokenBound]) -> None:
    """Log the features that moved beyond a bound, and by more than chance, the worst first."""
    moved = [(each.drift.psi, each.text) for each in broken]
    if moved:
        worst = "; ".join(text for _, text in sorted(moved, reverse=True)[:NAMED])
        more = f"; {len(moved) - NAMED} more" if len(moved) > NAMED else ""
        LOG.warning(f"   drift of {what}: {worst}{more}")


def _reference(context: Context, model: Run) -> tuple[FittedSpec, list[Stats]]:
    """The fitted features and statistics that a model was trained on. Raises DataError when a release that kept none of them
    trained it, and the interval's features were made anew since.
    """
    rows = stats_of_training(context, model)
    if not rows:
        raise DataError(
            f"drift: feature_stats no longer has those of run {model.inputs['features']}, on which the last model was trained: "
            f"its interval's features were made anew. Run jobs/train.py again."
        )
    return FittedSpec.of(row["fitted"] for row in rows), [
        Stats(**{name: row[name] for name in Stats._fields}) for row in rows if row["kind"] != "label"
    ]


STEP = Step("drift", ("features", "drift"), inputs, work, derives=True, reads=("clean_*", "feature_stats"))
