"""Run one step: skip what is done already, record what happens either way."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from functools import partial

from pipelines.flows.code import code_version
from pipelines.flows.context import Context, Step
from pipelines.flows.runs import Run

CONFIG_ALWAYS = ("pipeline", "timezone", "contracts")


def execute(step: Step, context: Context, *, force: bool) -> None:
    """Do a step's work unless the same was done last: same job, interval, configuration, code and inputs.

    A failure is recorded in `runs` and raised.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    inputs = step.inputs(context)
    config_hash = context.config.digest(*CONFIG_ALWAYS, *step.sections)
    fingerprint = _fingerprint(step, context, config_hash, inputs)
    last = context.runs.latest(step.name)
    if last and last.fingerprint == fingerprint and not force and _stands(step, context, last):
        context.console.print(f"{step.name:>9}: nothing to do, run {last.run_id} did the same", style="dim")
        return
    context.spark.sparkContext.setJobDescription(f"ringmill: {step.name}")
    record = partial(
        Run,
        run_id=context.run_id,
        pipeline=context.config.pipeline,
        job=step.name,
        fingerprint=fingerprint,
        config_hash=config_hash,
        code_version=code_version(),
        started_at=started,
        inputs=inputs,
    )
    try:
        outcome = step.work(context)
    except Exception as error:
        _record_failure(context, record(status="failed", seconds=time.monotonic() - clock, error=str(error)), error)
        raise
    seconds = time.monotonic() - clock
    context.runs.add(record(status="succeeded", seconds=seconds, outputs=outcome.outputs, artifacts=outcome.artifacts))
    rows = ", ".join(f"{a.source} {a.rows_out:,}" for a in outcome.accounts)
    context.console.print(f"{step.name:>9}: {seconds:5.1f} s  {rows}")


def _stands(step: Step, context: Context, last: Run) -> bool:
    """Whether no other run has published to the step's tables since, such as one that was killed half way."""
    return all(context.lake.publisher(table, context.scope(step.name)) in (None, last.run_id) for table in last.outputs)


def _record_failure(context: Context, run: Run, error: Exception) -> None:
    """Record a failed run; when even that fails, say so beside the error, which stays the one that is raised."""
    try:
        context.runs.add(run)
    except Exception as second:  # noqa: BLE001 (noted on the first error, which its caller raises)
        error.add_note(f"The failure could not be recorded in the table runs: {second}")


def _fingerprint(step: Step, context: Context, config_hash: str, inputs: dict[str, str]) -> str:
    start, end = (bound.astimezone(UTC).isoformat() for bound in context.bounds)
    contracts = [repr(context.config.contract(name)) for name in context.config.sources]
    content = [step.name, start, end, config_hash, code_version(), contracts, inputs]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
