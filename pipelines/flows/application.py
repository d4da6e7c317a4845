"""From the command line to an exit code: what all jobs share."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from pyspark.sql import SparkSession

from pipelines.config import Interval, Pipeline, read_config
from pipelines.errors import ConfigError, RingmillError
from pipelines.flows.checks import check_config, check_sections
from pipelines.flows.context import Context, Step
from pipelines.flows.intervals import run_intervals
from pipelines.flows.runs import RunLog
from pipelines.flows.session import spark_session
from pipelines.flows.terminal import console
from pipelines.flows.width import plan_for, widest
from pipelines.io.tables import Lake

Arguments = argparse.Namespace


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"arguments: {message}. Try --help.")


def run_application(
    name: str, steps: Sequence[Step], argv: Sequence[str], finish: Callable[[Context, float, Path], None] | None = None
) -> int:
    """Run steps in one Spark application and return its exit code; errors go to standard error, without a traceback
    unless they are bugs.
    """
    started = time.monotonic()

    def work(context: Context, arguments: Arguments) -> None:
        intervals = intervals_of(context.config, arguments)
        run_intervals(steps, context, intervals, force=arguments.force)
        if finish and len(intervals) == 1:
            finish(context, started, arguments.config)

    sections = [section for step in steps for section in step.sections]
    return run_job(name, parser(name), argv, work, sections)


def run_job(
    name: str,
    arguments_of: _Parser,
    argv: Sequence[str],
    work: Callable[[Context, Arguments], None],
    sections: Sequence[str] = (),
) -> int:
    """Do work, for which the configuration must have some sections, in one Spark application; its exit code, as above."""
    try:
        arguments = arguments_of.parse_args(argv)
        config = read_config(arguments.config)
        check_sections(config, sections)
        check_config(config)
        intervals = intervals_of(config, arguments)
        with spark_session(config, name) as spark:
            plan_for(spark, widest(config))
            work(_context(config, spark, intervals[0]), arguments)
    except RingmillError as error:
        print(f"ringmill: {name} failed: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:  # noqa: BLE001 (the last line of defence: a bug becomes an exit code)
        traceback.print_exc()
        print(f"ringmill: {name} failed by a bug; please report the traceback above.", file=sys.stderr)
        return 1
    return 0


def parser(name: str, *, interval: bool = True, parts: bool = True) -> _Parser:
    """A job's arguments: its configuration, the interval for jobs that work on one, and for some of these its parts."""
    made = _Parser(prog=f"jobs/{name}.py", description=f"ringmill's {name} job.")
    made.add_argument("--config", type=Path, required=True, help="the pipeline's YAML, such as conf/flights.yaml")
    if not interval:
        made.set_defaults(start=None, end=None, every=None)
        return made
    made.add_argument("--from", dest="start", help="start of the interval, ISO, included (default: the config's)")
    made.add_argument("--to", dest="end", help="end of the interval, ISO, excluded (default: the config's)")
    if parts:
        made.add_argument("--every", help="do the interval in parts, one after the other: day, week, month, 6 hours, …")
    else:
        made.set_defaults(every=None)
    made.add_argument("--force", action="store_true", help="do the work even when the same was done before")
    return made


def _context(config: Pipeline, spark: SparkSession, interval: Interval) -> Context:
    lake = Lake(spark, config.pipeline, new_run_id())
    return Context(config, interval, spark, lake, RunLog(lake, interval), console())


def intervals_of(config: Pipeline, arguments: argparse.Namespace) -> list[Interval]:
    """The interval that arguments name, or its parts by --every; raises ConfigError when they make no sense."""
    whole = _interval(config, arguments)
    if arguments.every is None:
        return [whole]
    try:
        return whole.cut(arguments.every)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"arguments: --every: {error}.") from error


def _interval(config: Pipeline, arguments: argparse.Namespace) -> Interval:
    try:
        start = datetime.fromisoformat(arguments.start) if arguments.start else config.interval.start
        end = datetime.fromisoformat(arguments.end) if arguments.end else config.interval.end
        return Interval(start=start, end=end).located(config.timezone)
    except ValueError as error:
        raise ConfigError(
            f"arguments: --from {arguments.start} --to {arguments.end}: expected ISO dates or times, the first before the "
            f"second, such as --from 2013-01-01 --to 2014-01-01."
        ) from error


def new_run_id() -> str:
    """A name for a run: the time in UTC, and a few letters that no other run of that second has."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}_{uuid.uuid4().hex[:6]}"
