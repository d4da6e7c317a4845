"""The exceptions that people meet; each carries the exit code of the job that it ends.

docs/runbook.md has a section for each class, with typical messages and commands.
"""

from collections.abc import Iterator

STORE_ERROR = "AWS Error"
"""In what pyarrow reports of an S3 that does not answer, and not of a file that is damaged or missing."""


def is_of_store(error: BaseException) -> bool:
    """Whether an error is a store's that did not answer: the file may be sound."""
    return STORE_ERROR in str(error)


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, the cause's cause, and so on; each once, though they may refer to each other."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


class RingmillError(Exception):
    """Raised as itself when a rank ends by a bug; otherwise the base of every error that ringmill raises on purpose.

    Its message says what happened and how to fix it. Look at the traceback in the job's log. Report it; a retry seldom helps.
    """

    exit_code = 1


class ConfigError(RingmillError):
    """Raised when arguments, configuration or a contract are wrong, nearly always before any data is read.

    Its message is one line. Look at the key, the contract or the option that it names. Fix it there, and run the command again.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        # Keys and values that it quotes may hold line ends and other signs that no terminal shows.
        lines = " ".join(line.strip() for line in message.splitlines())
        super().__init__("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in lines))


class DataError(RingmillError):
    """Raised when data breaks its contract, or the tables lack what a job needs; no table is changed.

    Look at the numbers and the example in its message, and at the source's rows. Earlier runs' rows are in quarantine,
    broken_rules and row_ledger. Have the source fixed, or correct the contract, and run the command again.
    """

    exit_code = 3


class AccountingError(DataError):
    """Raised when a step's rows in are not its rows out, quarantined, duplicates and filtered together; no table is changed.

    Look at the step and source that it names, and at whether the source or the raw table changed during the run. Run the
    command again. When it comes again, it is a bug of the step: report it.
    """


class ReceiptError(DataError):
    """Raised when an epoch did not see each training row exactly once; the run's model and checkpoints are not used.

    Look at feed_receipts of earlier runs, and at whether the features table's files were changed during the run. Run
    jobs/features.py with --force, then train again. When it comes again, it is a bug: report it.
    """


class QualityError(RingmillError):
    """Raised when a model, its features or a drift bound misses a gate, or training diverges; the champion stays in use.

    Look at the report that it names, and at evaluation_metrics, training_history, drift_metrics or models. Train again on
    better data or settings, or change the bound that the message names.
    """

    exit_code = 4


class ExternalError(RingmillError):
    """Raised when something outside fails: a source, the warehouse, the catalog, a disk, a port, Spark or Java.

    Look at what the message names: is it up, reachable, writable, with space? Put that right; the same command does again
    what was not done. A scheduler may retry it.
    """

    exit_code = 5


class BundleError(ExternalError):
    """Raised when a model's folder is missing, is not whole, was changed since it was published, or has another format.

    Look at the folder and at the file that the message names. Restore it from a backup, promote another version, or train
    again.
    """


class ConflictError(ExternalError):
    """Raised when another run published what this one was to replace, or others kept publishing to a table that it needs.

    Look in runs for the run that the message names, and at what the scheduler starts at once. Wait for that run's end, then
    run the same command again: it finds nothing to do, or replaces the rows.
    """


class RankError(ExternalError):
    """Raised when a rank dies, stalls or does not start; says which, where that is known, and what it last printed.

    Training has then been tried train.retries times more. Look at run_events and the executors' logs for memory, disk and
    lost hosts. The same command goes on from the last checkpoint.
    """


class EchoError(RankError):
    """Raised in ranks that end because another one does, whose own error is the cause. A job reports that other error.

    Look for the first rank's error in the job's log and in run_events, and follow that one.
    """
