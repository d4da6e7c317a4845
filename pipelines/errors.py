"""The exceptions that people meet; each carries the exit code of the job that it ends."""

STORE_ERROR = "AWS Error"
"""In what pyarrow reports of an S3 that does not answer, and not of a file that is damaged or missing."""


class RingmillError(Exception):
    """Base of every error that ringmill raises on purpose; its message says what happened and how to mend it."""

    exit_code = 1


class ConfigError(RingmillError):
    """Raised when arguments or configuration are wrong, before any data is read. Its message is one line."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        # Keys and values that it quotes may hold line ends and other signs that no terminal shows.
        lines = " ".join(line.strip() for line in message.splitlines())
        super().__init__("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in lines))


class DataError(RingmillError):
    """Raised when data breaks its contract; no table is changed."""

    exit_code = 3


class AccountingError(DataError):
    """Raised when a stage's rows in are not its rows out, quarantined, duplicates and filtered together."""


class ReceiptError(DataError):
    """Raised when an epoch did not see each training row exactly once."""


class QualityError(RingmillError):
    """Raised when a model misses a quality gate."""

    exit_code = 4


class ExternalError(RingmillError):
    """Raised when something outside fails: a source, the warehouse, a port, an executor."""

    exit_code = 5


class BundleError(ExternalError):
    """Raised when a model's folder is not whole, was changed since it was published, or has a newer format."""


class ConflictError(ExternalError):
    """Raised when another run published what this one was to replace, or others kept publishing to a table that it needs."""


class RankError(ExternalError):
    """Raised when a rank dies, stalls or does not start; says which, where that is known, and what it last printed."""


class EchoError(RankError):
    """Raised in ranks that end because another one does, whose own error is the cause."""
