"""The records of a CSV file in which quoted fields may span lines."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from pipelines.io.sources.records import LINE_END, LINE_END_WITHIN, Record, after_marks, cut_stream


class _Ends(NamedTuple):
    """Where a record ends, and where the next one begins."""

    text: int
    following: int


def cut_records(pieces: Iterable[bytes], pattern: re.Pattern[bytes]) -> Iterator[Record]:
    """Cut the bytes of a file, which come in pieces, into records of a pattern (`CsvFormat.pattern`).

    A record whose quoting is broken ends with the line in which that shows: lines before it belong to an open quote, and might
    else pass for rows. With a quote that is never closed all that follows is one record.
    """
    return cut_stream(pieces, partial(_records, pattern=pattern))


def _records(content: bytes, last: bool, pattern: re.Pattern[bytes]) -> Generator[Record, None, int]:
    position = 0
    while position < len(content):
        ends = _record(content, position, pattern, last=last)
        if ends is None and not last:
            break
        ends = ends or _Ends(len(content), len(content))
        yield Record(content[position : ends.text])
        position = ends.following
    return position


def _record(content: bytes, start: int, pattern: re.Pattern[bytes], *, last: bool) -> _Ends | None:
    """The record that begins at a position; None where more of the file decides."""
    fields = pattern.match(content, after_marks(content, start))
    assert fields
    position = fields.end()
    if position == len(content) or (content[position : position + 1] == b'"' and fields.start(1) == position):
        return None  # the record may go on, or a quote that opens a field is not closed
    end = (LINE_END if last else LINE_END_WITHIN).search(content, position)
    return _Ends(end.start(), end.end()) if end else None
