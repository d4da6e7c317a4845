"""Register a run's model, and give it an alias once it has passed the gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from pipelines.errors import ConflictError, DataError, QualityError
from pipelines.registry.digest import bundle_hash
from pipelines.registry.gate import Evidence, refusals
from pipelines.registry.versions import (
    CHAMPION,
    Alias,
    GateRecord,
    ModelLineage,
    ModelVersion,
    check_passed,
    current,
    holder,
    next_version,
    registered,
)
from pipelines.runtime.application import Arguments, run_job
from pipelines.runtime.command_line import publish_parser
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.runtime.runs import Run
from pipelines.runtime.step import Outcome, Step
from pipelines.steps.evaluation.evidence import Measured, compare_with, gather_evidence, rival, stored_comparison
from pipelines.steps.evaluation.tables import last_evaluation
from pipelines.steps.registry import History, change_models, read_history, sync_aliases
from pipelines.steps.train import FEATURES, snapshot_tag, stats_of_training
from schemas import tables

LOG = logging.getLogger(__name__)

GATE = ("registry", "evaluate")


@dataclass(frozen=True)
class Candidate:
    """A trained and evaluated model: its training run, the run that evaluated it, its metrics on test, its bundle's folder and
    hash, and where evaluate kept its comparison with the champion.
    """

    train: Run
    evaluate_run_id: str
    metrics: dict[str, float]
    uri: str
    hash: str
    comparison: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the job publish and return its exit code."""
    return run_job("publish", publish_parser(), argv, _work)


def _work(context: Context, arguments: Arguments) -> None:
    sync_aliases(context)  # also when there is nothing to do
    execute(publish_step(arguments.run), context, force=arguments.force)


def publish_step(run_id: str | None = None) -> Step:
    """The step for one training run; by default the interval's last evaluated one."""
    sections, reads = ("registry", "evaluate", "task"), ("evaluation_metrics", "drift_metrics", "models")
    return Step("publish", sections, partial(inputs, run_id=run_id), partial(work, run_id=run_id), reads=reads)


def inputs(context: Context, run_id: str | None = None) -> dict[str, str]:
    """The run that trained the model, and the one that evaluated it."""
    candidate = _candidate(context, run_id)
    return {"train": candidate.train.run_id, "evaluate": candidate.evaluate_run_id}


def work(context: Context, run_id: str | None = None) -> Outcome:
    """Register the model with the gate's verdict; then raise QualityError, with every reason, when it was refused.

    A model that the same gate has seen is not registered again. Raises ConflictError when the champion, with which the model
    was compared, changed meanwhile.
    """
    candidate = _candidate(context, run_id)
    history = read_history(context)
    champion = holder(history, CHAMPION)
    gate = GateRecord(digest=context.config.digest(*GATE), compared_with=champion.version if champion else None)
    if known := _registered_before(history, candidate, gate):
        sync_aliases(context)
        check_passed(known)
        LOG.info(f"  publish: version {known.version} is this model already, alias {known.alias or 'none'}")
        return Outcome(artifacts={"model": known.uri})
    reasons = refusals(_evidence(context, candidate, champion), context.config.registry, context.config.evaluate)
    version = _version(context, candidate, gate, reasons)

    def revision(rows: History) -> History:
        if holder(rows, CHAMPION) != champion:
            raise ConflictError(_overtaken(holder(rows, CHAMPION)))
        numbered = version.model_copy(update={"version": next_version(rows)})
        return registered(rows, _with_alias(context, numbered, rows))

    snapshot = change_models(context, revision)
    published = next(row for row in read_history(context) if row.run_id == context.run_id and row.change == "published")
    LOG.info(f"  publish: version {published.version}, {published.state}, alias {published.alias or 'none'}")
    if reasons:
        raise QualityError(
            f"publish: the gate refused version {published.version} (run {candidate.train.run_id}): {'; '.join(reasons)}. "
            f"Nothing uses it. Train again, or change registry.* or evaluate.* and publish again."
        )
    return Outcome(outputs={tables.MODELS.name: snapshot} if snapshot else {}, artifacts={"model": published.uri})


def _candidate(context: Context, run_id: str | None) -> Candidate:
    """The model to register; raises DataError when it was not evaluated over the interval, or its training run is unknown."""
    rows = last_evaluation(context, run_id)
    if not rows:
        model = f"the model of run {run_id}" if run_id else "no model"
        raise DataError(
            f"publish: {model} has {'not ' if run_id else ''}been evaluated for "
            f"{context.shown(*context.bounds)}. Run jobs/evaluate.py over the same interval first."
        )
    trained, evaluated = rows[0]["model_run_id"], rows[0]["run_id"]
    run = next((run for run in context.runs.all("train") if run.run_id == trained and run.status == "succeeded"), None)
    if run is None:
        raise DataError(f"publish: runs has no successful run {trained} of train, whose model was evaluated. Train again.")
    own = [row for row in rows if row["baseline"] is None and row["split"] == "test"]
    metrics = {str(row["metric"]): float(row["value"]) for row in own}
    files = next((one.artifacts for one in context.runs.all("evaluate") if one.run_id == evaluated), {})
    uri = files.get("calibrated_model", run.artifacts["model"])
    return Candidate(run, evaluated, metrics, uri, bundle_hash(uri), files.get("comparison"))


def _registered_before(history: History, candidate: Candidate, gate: GateRecord) -> ModelVersion | None:
    """The version that is the same model, evaluated by the same run and checked by the same gate; a refusal also by the same
    champion.
    """
    for row in reversed(current(history)):
        same_model = (row.hash, row.evaluate_run_id) == (candidate.hash, candidate.evaluate_run_id)
        same_gate = row.gate == gate or (row.state == "passed" and row.gate.digest == gate.digest)
        if same_model and same_gate:
            return row
    return None


def _evidence(context: Context, candidate: Candidate, champion: ModelVersion | None) -> Evidence:
    """The evidence on a candidate, with the comparison that evaluate made where the champion is still the same."""
    model = Measured(candidate.train, candidate.uri, candidate.hash, candidate.metrics)
    comparison = None
    if other := rival(context, model, champion):
        comparison = stored_comparison(context, candidate.comparison, other) or compare_with(context, model, other).comparison
    return gather_evidence(context, model, comparison)


def _version(context: Context, candidate: Candidate, gate: GateRecord, reasons: tuple[str, ...]) -> ModelVersion:
    """The row of the new version, but for its number and alias."""
    now = datetime.now(UTC)
    start, end = context.bounds
    return ModelVersion(
        name=context.config.pipeline,
        version=0,
        alias=None,
        valid_from=now,
        valid_to=None,
        change="published",
        changed_by="jobs/publish.py",
        change_reason="refused by its gate" if reasons else "passed its gate",
        run_id=context.run_id,
        state="refused" if reasons else "passed",
        reasons=reasons,
        uri=candidate.uri,
        hash=candidate.hash,
        train_run_id=candidate.train.run_id,
        evaluate_run_id=candidate.evaluate_run_id,
        interval_from=start,
        interval_to=end,
        lineage=_lineage(context, candidate),
        metrics=candidate.metrics,
        gate=gate,
        created_at=now,
    )


def _with_alias(context: Context, version: ModelVersion, rows: History) -> ModelVersion:
    """The version with the alias that it gets: none when it was refused, champion when there is none yet."""
    if version.state == "refused":
        return version
    first = holder(rows, CHAMPION) is None
    alias: Alias = CHAMPION if first else context.config.registry.alias
    why = "passed its gate, and there was no champion" if first else f"passed its gate; registry.alias is {alias}"
    return version.model_copy(update={"alias": alias, "change_reason": why})


def _lineage(context: Context, candidate: Candidate) -> ModelLineage:
    train = candidate.train
    runs = {"train": train.run_id, "evaluate": candidate.evaluate_run_id, **train.inputs, "publish": context.run_id}
    stats = stats_of_training(context, train)
    provenance = json.loads(stats[0]["provenance"]) if stats else {}
    features = context.lake.snapshot_id(FEATURES, snapshot_tag(train.run_id))
    snapshots = {"features": features, **{f"clean_{name}": at for name, at in provenance.get("snapshots", {}).items()}}
    return ModelLineage(
        runs=runs,
        snapshots={table: snapshot for table, snapshot in snapshots.items() if snapshot is not None},
        configuration={"train": train.config_hash, "features": provenance.get("spec", ""), "publish": context.config.digest()},
        code=train.code_version,
    )


def _overtaken(champion: ModelVersion | None) -> str:
    now = f"version {champion.version} (run {champion.run_id}, by {champion.changed_by})" if champion else "none"
    return (
        f"publish: the champion changed while this run compared its model with the former one; it is {now} now. Nothing was "
        f"registered. Run jobs/publish.py again."
    )


STEP = publish_step()
