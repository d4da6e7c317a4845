"""Lineage events of an application's runs: START, then COMPLETE, FAIL or ABORT. They never change how a run ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from pipelines.config.openlineage import OpenLineageConfig
from pipelines.interruption import PROCESS
from pipelines.io.java_errors import reason_of
from pipelines.runtime import lineage_events as events
from pipelines.runtime.lineage_datasets import input_datasets, output_datasets
from pipelines.runtime.lineage_events import Dataset, EventType, Facet, LineageRun, RunEvent
from pipelines.runtime.log_context import LOG_CONTEXT

if TYPE_CHECKING:
    from pipelines.runtime.context import Context
    from pipelines.runtime.step import Step

PARENT_ID = "OPENLINEAGE_PARENT_ID"  # <namespace>/<job>/<run>, which dbt and other integrations read too


@dataclass
class StepEvents:
    """The events of one run of a step. `outputs` are the snapshots that it published, by table."""

    context: Context
    config: OpenLineageConfig | None
    started: datetime
    event: RunEvent | None = None
    outputs: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Send that the run has begun."""
        self._send("START", self.started)

    def end(self, error: BaseException | None = None) -> None:
        """Send how the run ended, with what it wrote."""
        with PROCESS.shielded():
            cause = PROCESS.cause(error) if error else None
            type_: EventType = "ABORT" if cause else "FAIL" if error else "COMPLETE"
            self._send(type_, datetime.now(UTC), cause or error)

    def _send(self, type_: EventType, time: datetime, error: BaseException | None = None) -> None:
        if self.config is None or self.event is None:
            return
        event, config = self.event, self.config

        def send() -> None:
            written = output_datasets(self.context, self.outputs)
            why = (events.error_message(str(error) or type(error).__name__),) if error else ()
            facets = (*event.run_facets, *why)
            ended = replace(event, type=type_, time=time, outputs=written, run_facets=facets)
            self.context.lineage.sender.send(config, ended.as_json())

        _unless_failed(self.context, send)


@contextmanager
def step_events(step: Step, context: Context, inputs: dict[str, str], started: datetime) -> Iterator[StepEvents]:
    """Send that a run of a step begins, and at the end of the context how it ended; nothing without a section
    `openlineage`.
    """
    run = prepare_events(step, context, inputs, started)
    run.start()
    try:
        yield run
    except (Exception, KeyboardInterrupt) as error:
        run.end(error)
        raise
    run.end()


def prepare_events(step: Step, context: Context, inputs: dict[str, str], started: datetime) -> StepEvents:
    """The events of a run that is about to begin, none of which is sent yet; what it reads is looked up now."""
    config = context.config.openlineage
    run = StepEvents(context, config, started)

    def prepare() -> None:
        assert config is not None
        job = _new_run(context, config, step.name)
        parent = _application_run(step.name, context, config) or _outer_run(context)
        interval = context.interval
        facets: tuple[Facet, ...] = (events.engine(), events.run_tags(context.run_id))
        facets += () if interval.is_whole else (events.nominal_time(interval),)
        facets += (events.parent(parent),) if parent else ()
        datasets: tuple[Dataset, ...] = input_datasets(step, context, inputs)
        run.event = RunEvent("START", started, job, facets, (events.job_type("JOB"),), datasets)

    if config is not None:
        _unless_failed(context, prepare)
    return run


def _unless_failed(context: Context, work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 (lineage that can't be gathered is a warning, whatever is wrong)
        context.lineage.sender.warn(
            f"openlineage: a lineage event could not be built ({type(error).__name__}: {reason_of(error)}). The job goes on."
        )


def end_application(context: Context, error: BaseException | None = None) -> None:
    """Send how an application of several steps ended, where the beginning of its run was sent."""
    config, event = context.config.openlineage, context.lineage.application
    if config is not None and event is not None:
        context.lineage.application = None
        StepEvents(context, config, event.time, event).end(error)


def _application_run(step: str, context: Context, config: OpenLineageConfig) -> LineageRun | None:
    """The run of the application that a step is a part of, whose beginning is sent with its first step; None for a job of one
    step, which is its application's whole work.
    """
    event = context.lineage.application
    if event is None and LOG_CONTEXT.job not in ("", step):
        outer = _outer_run(context)
        facets = (events.engine(), events.run_tags(context.run_id), *((events.parent(outer),) if outer else ()))
        job = _new_run(context, config, f"jobs.{LOG_CONTEXT.job}")
        event = RunEvent("START", datetime.now(UTC), job, facets, (events.job_type("APPLICATION"),))
        context.lineage.application = event
        context.lineage.sender.send(config, event.as_json())
    return event.run if event else None


def _new_run(context: Context, config: OpenLineageConfig, job: str) -> LineageRun:
    return LineageRun(config.namespace or context.config.pipeline, f"{context.config.pipeline}.{job}", uuid4())


def _outer_run(context: Context) -> LineageRun | None:
    """The run that started this application, where the environment names one in the form that other tools use."""
    named = os.environ.get(PARENT_ID)
    if not named:
        return None
    try:
        namespace, job, run_id = named.rsplit("/", 2)
        return LineageRun(namespace, job, UUID(run_id))
    except ValueError:
        context.lineage.sender.warn(
            f"the environment variable {PARENT_ID}: expected <namespace>/<job>/<run>, the run a UUID; received '{named}'. Runs "
            f"have no parent in their lineage events."
        )
        return None
