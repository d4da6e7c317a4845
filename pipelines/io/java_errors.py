"""What Java and Spark say of files that they can't read, in a few words: no names of classes, no stack."""

from __future__ import annotations

import re

from py4j.protocol import Py4JJavaError

CAUSE = re.compile(r"Caused by: [\w.$]*?(\w+)(?:Exception|Error)\b(?:: ([^\n]*))?")
CLASS = re.compile(r"\b(?:[a-z]\w*\.){2,}[\w$]*(?:Exception|Error)\b(?:: )?")
PACKAGE = re.compile(r"\b(?:[a-z]\w*\.){2,}(?=[A-Z]\w*\b)")
CODES = re.compile(r"^\[[A-Z0-9_.]+\] ?| ?SQLSTATE: \w+")
# Where Java's message is the name of a file alone, or nothing, the kind of error says what happened.
KINDS = {
    "FileNotFound": "no such file",
    "NoSuchFile": "no such file",
    "AccessControl": "permission denied",
    "AccessDenied": "permission denied",
    "EOF": "the file ends too early",
    "ClassNotFound": "Spark lacks a class that reads it",
    "UnknownHost": "unknown host",
    "Zip": "what is compressed is damaged",
}


def java_reason(error: Py4JJavaError) -> str:
    """The innermost reason of an error from Java: its first line, led by what kind it is where that says more."""
    exception = error.java_exception
    while exception.getCause() is not None:
        exception = exception.getCause()
    return _reason(str(exception.getClass().getSimpleName()), exception.getMessage() or "")


def reason_of(error: Exception) -> str:
    """What Java, or Spark's Python, says of an error, in its first line and without codes and classes."""
    return java_reason(error) if isinstance(error, Py4JJavaError) else _plain(str(error).strip().partition("\n")[0])


def unreadable(error: Exception) -> str | None:
    """Spark's message when a job failed because a file's content can't be read; None for any other failure."""
    text = str(error)
    matched = re.search(r"\[FAILED_READ_FILE[^\]]*\] ?([^\n]*)", text)
    if matched is None:
        return None
    causes = CAUSE.findall(text)
    reason = f" ({_reason(*causes[-1])})" if causes else ""
    return f"{_plain(matched[1]).rstrip('. ')}{reason}"


def _reason(kind: str, message: str) -> str:
    lead = KINDS.get(kind.removesuffix("Exception").removesuffix("Error"), "")
    words = _plain(message.partition("\n")[0])
    if lead and lead.lower() not in words.lower():
        return f"{lead}: {words}" if words else lead
    return words or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()


def _plain(message: str) -> str:
    return PACKAGE.sub("", CLASS.sub("", CODES.sub("", message))).strip()
