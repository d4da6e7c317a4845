"""A failure whose cause is a server that does not answer, a lost process of Spark, or the clock: what it is, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from py4j.protocol import Py4JNetworkError

from pipelines.config import LakeConfig
from pipelines.errors import ExternalError, RingmillError, causes_of

# What drivers of databases, S3's clients and sockets report of a server that is gone, restarts or hangs up.
LOST = re.compile(
    r"[^\n:]*(?:Connection (?:to \S+ )?refused|Connection reset|[Cc]onnection has been closed|Broken pipe|Connection closed|"
    r"I/O error occurred while sending to the backend|connection attempt failed|database system is (?:starting|shutting)|"
    r"terminating connection|Read timed out|[Cc]onnect timed out|NETWORK_CONNECTION|Unable to execute HTTP request|"
    r"failed to respond|end of file from server|No route to host|UnknownHost|Service Unavailable)[^\n]*"
)
# By whose classes and addresses a failure is the catalog's, or the store's.
CATALOG = re.compile(r"iceberg\.(?:jdbc|rest|hive)\.|\bPSQLException|SQLNonTransient|SQLTransient")
STORE = re.compile(r"AWS Error|\bs3a?://|\.s3a\.|software\.amazon\.awssdk|S3Exception")
EXECUTORS = re.compile(
    r"ExecutorLostFailure|SparkContext (?:was|has been) shut ?down|All masters are unresponsive|Master removed our"
)
CLOCK = re.compile(r"Invalid (?:update|snapshot) timestamp (\d+): before [a-z ]*?(\d+)")
AGAIN = "What was published before stands. Once that is fixed, run the same command again: it does what was not done"


def unreachable(error: BaseException, lake: LakeConfig) -> ExternalError | None:
    """The error to raise in the place of one whose cause is outside; None for any other, and for ringmill's own."""
    if isinstance(error, RingmillError):
        return None
    causes = list(causes_of(error))
    texts = map(str, causes)  # those of Java have the stack of every cause in their text
    messages = (message for text in texts for message in (_clock(text), _server(text, lake), _spark(text)) if message)
    message = next(messages, None) or _java_gone(causes)
    return ExternalError(message) if message else None


def _server(text: str, lake: LakeConfig) -> str | None:
    lost = LOST.search(text)
    if lost is None:
        return None
    store, catalog = STORE.search(text), CATALOG.search(text)
    if catalog:
        what = "lake.catalog: the catalog's server"
    elif store:
        what = f"lake.warehouse: the store of {lake.warehouse}"
    else:
        return None
    return f"{what} did not answer ({lost[0].strip()}). See that it is up and in reach of this machine. {AGAIN}."


def _spark(text: str) -> str | None:
    lost = EXECUTORS.search(text)
    return (
        f"Spark lost executors, or its cluster ({lost[0]}). See that workers are up and have memory. {AGAIN}." if lost else None
    )


def _clock(text: str) -> str | None:
    matched = CLOCK.search(text)
    if matched is None:
        return None
    now, last = (datetime.fromtimestamp(int(stamp) / 1000, UTC) for stamp in matched.groups())
    return (
        f"the clock of this machine shows {now:%Y-%m-%d %H:%M:%S} UTC, and the table was last written at "
        f"{last:%Y-%m-%d %H:%M:%S} UTC, {(last - now).total_seconds() / 60:,.0f} minutes later. Iceberg takes no commit that "
        f"is older than the one before it by more than a minute. Set the clock (such as by NTP). {AGAIN}."
    )


def _java_gone(causes: Iterable[BaseException]) -> str | None:
    """Of a driver whose Java process was killed, such as by the kernel when memory ran out."""
    if any(isinstance(cause, Py4JNetworkError | ConnectionError) for cause in causes):
        return f"Java, in which Spark runs, is gone: it was killed, or ran out of memory. {AGAIN}."
    return None
