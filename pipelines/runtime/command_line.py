"""What people type: each job's purpose, options and exit codes, without Spark or TensorFlow, and the way to its work."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from pipelines.errors import ConfigError, RingmillError
from pipelines.interruption import PROCESS, end_process
from pipelines.runtime.archives import leave_out_archives
from pipelines.runtime.early_java import load_classes_early
from pipelines.runtime.log_context import wants_json
from pipelines.runtime.log_handler import DEFAULT_LEVEL, LEVELS, begin_log, log_end, set_level

LOG = logging.getLogger(__name__)

PURPOSES = {
    "pipeline": "Run a whole pipeline in one application: ingest, clean, features, train, evaluate, publish. It ends\n"
    "with rows, epochs, metrics, and where the tables, the model and the report are.",
    "ingest": "Land every source of a pipeline as it was received, once an interval: tables raw_<source>.",
    "clean": "Validate every landed row by its contract: tables clean_<source>, quarantine, broken_rules and row_ledger.",
    "features": "Join and derive examples from the clean tables, fit features on the train split, and write the tables\n"
    "features, feature_stats, feature_samples and drift_metrics.",
    "train": "Train the network on Spark's executors, and export the best epoch's model: training_history, feed_receipts.",
    "evaluate": "Score the validation and test splits on Spark, and write predictions, evaluation_metrics and a report.\n"
    "A model that misses evaluate.minimum or maximum is exit code 4.",
    "drift": "Compare an interval's features with those that the last model was trained on: drift_metrics and a report.\n"
    "A feature beyond drift.<measure>.fail is exit code 4.",
    "replay": "Validate quarantined rows again, after their contract was corrected; those that pass become clean rows.",
    "search": "Search the configuration of training (section search); evaluate goes on with the best trial's model.",
    "publish": "Register a run's model and apply its gate: the first that passes is champion, others get registry.alias.\n"
    "A refusal is exit code 4, with every reason.",
    "promote": "Make another version the champion, or go back to the one before.",
    "predict": "Score an interval's rows with a registered model, labelled or not: table scores. Rows that have not\n"
    "been landed and cleaned are so first.",
    "compare": "Compare the models of two evaluation runs on the same test rows, in the terminal and as HTML.",
    "doctor": "Check a cluster for the ranks of a training: Spark's settings, slots, and the processor, the C library and\n"
    "the tunnel of each executor's host. It reads and writes no table.",
    "maintain": "Keep a pipeline's tables small: compact files, expire snapshots, remove what killed runs left behind.",
    "status": "Show the last runs, the age of each table, rows and quarantined shares, and the champion; and name what is\n"
    "stale or failed. It reads metadata and small tables, without a Spark session, and changes nothing.",
}
EXIT_CODES = """\
exit codes:
  0    done, or nothing to do
  1    a bug; please report the traceback
  2    wrong arguments or configuration
  3    the data breaks its contract; no table was changed
  4    a quality gate is not met (evaluate, drift, publish), or the model's features are not Spark's
  5    something outside failed: a source, the warehouse, a port, a rank
  130  interrupted by Ctrl-C (SIGINT)
  143  ended by SIGTERM"""
STATUS_EXIT_CODES = EXIT_CODES.replace(
    "  1    a bug; please report the traceback",
    "  1    a table is stale or a job's last run did not succeed; with a traceback a bug, please report it",
)


class JobParser(argparse.ArgumentParser):
    """Arguments of a job; raises ConfigError for wrong ones."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError where argparse would end the process."""
        raise ConfigError(f"arguments: {message}. Try --help.")


def parser(name: str, *, interval: bool = True, parts: bool = True) -> JobParser:
    """A job's arguments: its configuration, the interval for jobs that work on one, and for some of these its parts."""
    arguments = JobParser(
        prog=f"spark-submit jobs/{name}.py",
        description=PURPOSES.get(name, f"ringmill's {name} job."),
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--log-format", choices=("text", "json"), default="text", help="of what is printed (default: text)")
    arguments.add_argument(
        "--log-level",
        choices=LEVELS,
        default=DEFAULT_LEVEL,
        help="log messages of this level and above (default: %(default)s; tables and progress are always shown)",
    )
    arguments.add_argument("--config", type=Path, required=True, help="the pipeline's YAML, such as conf/flights.yaml")
    arguments.set_defaults(has_interval=interval)
    if not interval:
        arguments.set_defaults(start=None, end=None, every=None, allow_gaps=False)
        return arguments
    arguments.add_argument(
        "--from", dest="start", metavar="TIME", help="start of the interval, ISO, included (default: the config's)"
    )
    arguments.add_argument(
        "--to", dest="end", metavar="TIME", help="end of the interval, ISO, excluded (default: the config's)"
    )
    if parts:
        arguments.add_argument(
            "--every", metavar="LENGTH", help="do the interval in parts, one after the other: day, week, month, 6 hours, …"
        )
    else:
        arguments.set_defaults(every=None)
    arguments.add_argument("--force", action="store_true", help="do the work even when the same was done before")
    arguments.add_argument(
        "--allow-gaps", action="store_true", help="read a window of which parts are not cleaned (default: exit code 3)"
    )
    return arguments


def maintain_parser() -> JobParser:
    """The arguments of maintain, which works on whole tables."""
    arguments = parser("maintain", interval=False)
    arguments.add_argument("--dry-run", action="store_true", help="print what would be done, and change nothing")
    return arguments


def publish_parser() -> JobParser:
    """The arguments of publish."""
    arguments = parser("publish", parts=False)
    arguments.add_argument("--run", help="the training run (default: the interval's last evaluated one)")
    return arguments


def promote_parser() -> JobParser:
    """The arguments of promote, which works on no interval."""
    arguments = parser("promote", interval=False)
    what = arguments.add_mutually_exclusive_group(required=True)
    what.add_argument("--version", type=int, help="the version that becomes champion")
    what.add_argument("--rollback", action="store_true", help="go back to the champion before the present one")
    arguments.add_argument("--reason", default="", help="why; it is kept in the table models")
    arguments.add_argument("--by", default="", help="who or what promotes (default: the user who runs the job)")
    return arguments


def predict_parser() -> JobParser:
    """The arguments of predict."""
    arguments = parser("predict")
    arguments.add_argument("--model", default="champion", help="an alias or a version's number (default: champion)")
    return arguments


def compare_parser() -> JobParser:
    """The arguments of compare."""
    arguments = parser("compare", interval=False)
    arguments.add_argument("runs", nargs=2, metavar="RUN", help="the id of an evaluation run, from the table runs")
    return arguments


def status_parser() -> JobParser:
    """The arguments of status, which works on whole tables."""
    arguments = parser("status", interval=False)
    arguments.epilog = STATUS_EXIT_CODES
    arguments.add_argument("--json", action="store_true", help="print one JSON object (its keys: docs/operations.md)")
    arguments.add_argument("--max-age", metavar="AGE", help="of each source's tables, such as 26h (default: status.max_age)")
    arguments.add_argument("--runs", type=int, default=1, metavar="N", help="how many runs of each job are shown (default: 1)")
    return arguments


def doctor_parser() -> JobParser:
    """The arguments of doctor, which reads no table."""
    arguments = parser("doctor", interval=False)
    arguments.add_argument("--json", action="store_true", help="print one JSON array: name, ok, saw and fix of each check")
    return arguments


PARSERS = {
    "doctor": doctor_parser,
    "maintain": maintain_parser,
    "publish": publish_parser,
    "promote": promote_parser,
    "predict": predict_parser,
    "compare": compare_parser,
    "status": status_parser,
}
"""Those of jobs that have arguments of their own."""


def parser_of(name: str) -> JobParser:
    """The arguments of a job of `PURPOSES`."""
    return PARSERS[name]() if name in PARSERS else parser(name)


def main(name: str, argv: Sequence[str]) -> int:
    """Run a job of `PURPOSES` and return its exit code. Help and signals are answered before anything large is imported."""
    PROCESS.begin()
    begin_log(name, json_lines=wants_json(argv))
    started = time.monotonic()
    try:
        set_level(parser_of(name).parse_args(argv).log_level)
        leave_out_archives()
        load_classes_early()
        code: int = import_module("pipelines.steps.jobs").run(name, argv)
    except RingmillError as error:
        log_end(LOG, f"{name} failed: {error}")
        return error.exit_code
    except KeyboardInterrupt as error:
        log_end(LOG, f"{name} {error} after {time.monotonic() - started:.1f} s.")
        return int(getattr(error, "exit_code", 130))
    return code


def run_program(name: str) -> NoReturn:
    """Run a job of `PURPOSES` with the arguments of this process, and end the process with its exit code."""
    end_process(main(name, sys.argv[1:]))
