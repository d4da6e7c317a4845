"""From the command line to an exit code: what all jobs share."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pyspark import SparkConf
from pyspark.sql import SparkSession

from pipelines.config import Interval, Pipeline, read_config
from pipelines.errors import ConfigError, RingmillError
from pipelines.interruption import PROCESS, end_process
from pipelines.io.lake import Lake
from pipelines.runtime.checks import check_config, check_sections
from pipelines.runtime.command_line import JobParser, parser
from pipelines.runtime.context import Context
from pipelines.runtime.execute import record_interruption
from pipelines.runtime.intervals import run_intervals
from pipelines.runtime.lineage import end_application
from pipelines.runtime.lineage_transport import check_transport
from pipelines.runtime.log_context import LOG_CONTEXT, wants_json
from pipelines.runtime.log_handler import begin_log, job_console, job_handler, log_end, set_level
from pipelines.runtime.notify import notify_failure, set_pipeline
from pipelines.runtime.outside import outside_failure
from pipelines.runtime.readiness import check_readiness
from pipelines.runtime.runs import RunLog, new_run_id
from pipelines.runtime.session import spark_session
from pipelines.runtime.signals import silence, take_over_signals
from pipelines.runtime.step import Step
from pipelines.runtime.whole import DECLARE, check_whole
from pipelines.runtime.width import plan_for, widest

LOG = logging.getLogger(__name__)
__all__ = ["Arguments", "parser", "run_application", "run_job"]
Arguments = argparse.Namespace
Work = Callable[[Context, Arguments], None]
Check = Callable[[Pipeline, Interval], None]


def run_application(
    name: str, steps: Sequence[Step], argv: Sequence[str], finish: Callable[[Context, float, Arguments], None] | None = None
) -> int:
    """Run steps in one Spark application and return its exit code; errors go to standard error, without a traceback
    unless they are bugs.
    """
    started = time.monotonic()

    def work(context: Context, arguments: Arguments) -> None:
        intervals = intervals_of(context.config, arguments)
        run_intervals(steps, context, intervals, force=arguments.force)
        LOG_CONTEXT.at(None, None)
        if finish and len(intervals) == 1:
            finish(context, started, arguments)

    sections = [section for step in steps for section in step.sections]
    checks = [step.check for step in steps if step.check]
    return run_job(name, parser(name), argv, work, sections, checks)


def run_job(
    name: str,
    arguments_of: JobParser,
    argv: Sequence[str],
    work: Work,
    sections: Sequence[str] = (),
    checks: Sequence[Check] = (),
) -> int:
    """Do work, for which the configuration must have some sections and pass checks, in one Spark application; its exit code,
    as above.

    SIGINT and SIGTERM end it with one line, once the table `runs` has the interruption.
    """
    PROCESS.begin()
    if job_handler() is None:  # a program of its own, not one of `command_line.main`
        begin_log(name, json_lines=wants_json(argv))
    started = time.monotonic()
    try:
        arguments = arguments_of.parse_args(argv)
        set_level(arguments.log_level)
        if "PYSPARK_GATEWAY_PORT" in os.environ:  # Java runs already, and would end by a signal of its own
            take_over_signals()
        _run(name, arguments, work, sections, checks)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (the last line of defence: a bug becomes an exit code)
        code = report(name, error, time.monotonic() - started)
        notify_failure(error)
        if PROCESS.number is not None:
            end_process(code)  # Python would wait for threads that wait for a source
        return code
    return 0


def report(name: str, error: BaseException, seconds: float) -> int:
    """Print why a job ended, and return its exit code. What is ours, and an interruption, is one line without a traceback."""
    PROCESS.over()
    if interrupted := PROCESS.cause(error):
        silence()
        known = "; the table runs has it" if interrupted.recorded else ""
        notes = "".join(f" {note.splitlines()[0]}" for note in getattr(interrupted, "__notes__", ()))
        line = f"{interrupted} after {seconds:.1f} s{known}. The same command does again what was not done.{notes}"
        log_end(LOG, f"{name} {line}")
        return interrupted.exit_code
    if isinstance(error, RingmillError):
        log_end(LOG, f"{name} failed: {error}")
        return error.exit_code
    log_end(LOG, f"{type(error).__name__}: {error}", error)
    log_end(LOG, f"{name} failed by a bug; please report the traceback above.")
    return 1


def _run(name: str, arguments: Arguments, work: Work, sections: Sequence[str], checks: Sequence[Check]) -> None:
    config = read_config(arguments.config)
    set_pipeline(config)
    check_transport(config)
    check_sections(config, sections)
    check_config(config)
    intervals = intervals_of(config, arguments)
    for check in (check_whole, *checks) if arguments.has_interval else checks:
        check(config, intervals[0])
    if "train" in sections:
        check_readiness(config.train, dict(SparkConf().getAll()))
    with spark_session(config, name) as spark:
        context = _context(config, spark, intervals[0], arguments)
        began = datetime.now(UTC)
        LOG_CONTEXT.run_id = context.run_id
        try:
            plan_for(spark, widest(config))
            work(context, arguments)
        except (Exception, KeyboardInterrupt) as error:
            if interrupted := PROCESS.cause(error):
                record_interruption(context, name, began, interrupted)
            outside = None if interrupted else outside_failure(error, config.lake)
            end_application(context, outside or error)
            if outside:  # outside of a step, which says so itself
                raise outside from error
            raise
        PROCESS.over()
        end_application(context)


def _context(config: Pipeline, spark: SparkSession, interval: Interval, arguments: Arguments) -> Context:
    lake = Lake(spark, config.pipeline, new_run_id())
    log = RunLog(lake, interval)
    path, allow_gaps = str(arguments.config), arguments.allow_gaps
    return Context(config, interval, spark, lake, log, job_console(), config_path=path, allow_gaps=allow_gaps)


def intervals_of(config: Pipeline, arguments: argparse.Namespace) -> list[Interval]:
    """The interval that arguments name, or its parts by --every; raises ConfigError when they make no sense."""
    whole = _interval(config, arguments)
    if arguments.every is None:
        return [whole]
    if whole.is_whole:
        raise ConfigError(f"arguments: --every {arguments.every}: there is no interval to be cut. {DECLARE}.")
    try:
        return whole.cut(arguments.every)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"arguments: --every: {error}.") from error


def _interval(config: Pipeline, arguments: argparse.Namespace) -> Interval:
    if config.interval.is_whole and bool(arguments.start) != bool(arguments.end):
        raise ConfigError("arguments: the configuration has no interval; expected both --from and --to, or neither.")
    try:
        start = datetime.fromisoformat(arguments.start) if arguments.start else config.interval.start
        end = datetime.fromisoformat(arguments.end) if arguments.end else config.interval.end
        return Interval(start=start, end=end).located(config.timezone)
    except ValueError as error:
        raise ConfigError(
            f"arguments: --from {arguments.start} --to {arguments.end}: expected ISO dates or times, the first before the "
            f"second, such as --from 2013-01-01 --to 2014-01-01."
        ) from error
