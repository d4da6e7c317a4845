"""Run one step: skip what is done already, record what happens either way."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial

from pipelines.interruption import PROCESS, Interrupted
from pipelines.io.java_errors import reason_of
from pipelines.runtime.code import code_version, derivation_version, engine_version
from pipelines.runtime.context import Context
from pipelines.runtime.lineage import step_events
from pipelines.runtime.log_context import LOG_CONTEXT
from pipelines.runtime.log_handler import DIM
from pipelines.runtime.outside import outside_failure
from pipelines.runtime.runs import Run
from pipelines.runtime.step import Outcome, Step
from pipelines.runtime.step_progress import StepProgress

LOG = logging.getLogger(__name__)

CONFIG_ALWAYS = ("pipeline", "timezone", "contracts")


def execute(step: Step, context: Context, *, force: bool) -> None:
    """Do a step's work unless the same was done last: same job, interval, configuration, code and inputs.

    A failure or an interruption is recorded in `runs` and raised.
    """
    LOG_CONTEXT.at(step.name, context.interval)
    started, clock = datetime.now(UTC), time.monotonic()
    inputs = step.inputs(context)
    config_hash = context.config.digest(*CONFIG_ALWAYS, *step.sections)
    fingerprint = fingerprint_of(step, context, config_hash, inputs)
    if last := _same_run(step, context, fingerprint, force=force):
        LOG.info(f"{step.name:>9}: nothing to do, run {last.run_id} did the same", extra=DIM)
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
    with step_events(step, context, inputs, started) as events:
        outcome = _work(step, context, record, clock)
        events.outputs = outcome.outputs
    rows = ", ".join(f"{a.source} {a.rows_out:,}" for a in outcome.accounts)
    LOG.info(f"{step.name:>9}: {time.monotonic() - clock:5.1f} s  {rows}")


def _work(step: Step, context: Context, record: Callable[..., Run], clock: float) -> Outcome:
    """Do a step's work, and record its run either way; `clock` is the monotonic time at which it began."""
    try:
        with nullcontext() if step.own_progress else StepProgress(context.console, context.spark, step.name, context.activity):
            outcome = step.work(context)
    except (Exception, KeyboardInterrupt) as error:
        cause, outside = PROCESS.cause(error), outside_failure(error, context.config.lake)
        status = "interrupted" if cause else "failed"
        run = record(status=status, seconds=time.monotonic() - clock, error=str(cause or outside or error))
        _record(context, run, cause or outside or error)
        if outside and not cause:
            raise outside from error
        raise
    seconds = time.monotonic() - clock
    with PROCESS.shielded():
        context.runs.add(record(status="succeeded", seconds=seconds, outputs=outcome.outputs, artifacts=outcome.artifacts))
    return outcome


def record_as(step: Step, context: Context, outputs: dict[str, int]) -> None:
    """Record that this run has just published what a step would, so that the step has nothing to do next time."""
    inputs, config_hash = step.inputs(context), context.config.digest(*CONFIG_ALWAYS, *step.sections)
    run = Run(
        run_id=context.run_id,
        pipeline=context.config.pipeline,
        job=step.name,
        status="succeeded",
        fingerprint=fingerprint_of(step, context, config_hash, inputs),
        config_hash=config_hash,
        code_version=code_version(),
        started_at=datetime.now(UTC),
        seconds=0.0,
        inputs=inputs,
        outputs=outputs,
    )
    with PROCESS.shielded():
        context.runs.add(run)


def _same_run(step: Step, context: Context, fingerprint: str, *, force: bool) -> Run | None:
    """The last run, where it did the same and its tables stand; None, with the reason in the log, where there is work."""
    last = context.runs.latest(step.name)
    if last is None:
        why = "no run has done it for this interval"
    elif last.fingerprint != fingerprint:
        why = f"configuration, code or inputs are not those of run {last.run_id}"
    elif force:
        why = f"--force, though run {last.run_id} did the same"
    elif not _stands(step, context, last):
        why = f"another run has published to its tables since run {last.run_id}"
    else:
        return last
    LOG.debug("%9s: to be done: %s", step.name, why)
    return None


def _stands(step: Step, context: Context, last: Run) -> bool:
    """Whether no other run has published to the step's tables since, such as one that was killed half way."""
    return all(context.lake.publisher(table, context.scope(step.name)) in (None, last.run_id) for table in last.outputs)


def record_interruption(context: Context, job: str, started: datetime, error: Interrupted) -> None:
    """Record in `runs` that an application was interrupted while no step was at work, unless a step has recorded it."""
    if error.recorded:
        return
    run = Run(
        run_id=context.run_id,
        pipeline=context.config.pipeline,
        job=job,
        status="interrupted",
        fingerprint="",
        config_hash=context.config.digest(*CONFIG_ALWAYS),
        code_version=code_version(),
        started_at=started,
        seconds=(datetime.now(UTC) - started).total_seconds(),
        error=str(error),
    )
    _record(context, run, error)


def _record(context: Context, run: Run, error: BaseException) -> None:
    """Record a run that failed or was interrupted; when even that fails, say so beside the error, which stays the one that is
    raised.
    """
    try:
        with PROCESS.shielded():
            context.runs.add(run)
    except Exception as second:  # noqa: BLE001 (noted on the first error, which its caller raises)
        what = "failure" if run.status == "failed" else "interruption"
        error.add_note(f"The {what} could not be recorded in the table runs: {reason_of(second)}")
    else:
        if isinstance(error, Interrupted):
            error.recorded = True


def fingerprint_of(step: Step, context: Context, config_hash: str, inputs: dict[str, str]) -> str:
    """What stands for a step's work over the context's interval: with the same one the same work was done."""
    start, end = (bound.astimezone(UTC).isoformat() for bound in context.bounds)
    contracts = [repr(context.config.contract(name)) for name in context.config.sources]
    content = [step.name, start, end, config_hash, engine_version(), contracts, inputs]
    if step.derives:
        content.append(derivation_version(context.config))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
