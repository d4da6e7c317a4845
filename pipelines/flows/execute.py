"""Run one step: skip what is done already, record what happens either way."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime

from pipelines.flows.code import code_version
from pipelines.flows.context import Context, Outcome, Step
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
    if last and last.fingerprint == fingerprint and not force:
        context.console.print(f"{step.name:>9}: nothing to do, run {last.run_id} did the same", style="dim")
        return
    context.spark.sparkContext.setJobDescription(f"ringmill: {step.name}")
    status, outcome, message = "failed", Outcome(), None
    try:
        outcome = step.work(context)
        status = "succeeded"
    except Exception as error:
        message = str(error)
        raise
    finally:
        seconds = time.monotonic() - clock
        context.runs.add(
            Run(
                run_id=context.run_id,
                pipeline=context.config.pipeline,
                job=step.name,
                status=status,
                fingerprint=fingerprint,
                config_hash=config_hash,
                code_version=code_version(),
                started_at=started,
                seconds=seconds,
                inputs=inputs,
                outputs=outcome.outputs,
                artifacts=outcome.artifacts,
                error=message,
            )
        )
    rows = ", ".join(f"{a.source} {a.rows_out:,}" for a in outcome.accounts)
    context.console.print(f"{step.name:>9}: {seconds:5.1f} s  {rows}")


def _fingerprint(step: Step, context: Context, config_hash: str, inputs: dict[str, str]) -> str:
    start, end = (bound.astimezone(UTC).isoformat() for bound in context.bounds)
    content = [step.name, start, end, config_hash, code_version(), inputs]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
