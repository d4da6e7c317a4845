"""The elements of a JSON file that is one array, or several, as Python and many exports write it, read as a stream."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator

from pipelines.io.sources.records import LINE_END, Record, cut_stream

NOT_CLOSED = "line: expected ] at the end of the array, received the end of the file"
SPACE = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf)*")
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)


def cut_elements(pieces: Iterable[bytes]) -> Iterator[Record]:
    """The elements of the arrays in a file, whose bytes come in pieces; what stands outside arrays, line by line.

    An empty element, as between two commas, is the comma. The last element of an array that is not closed has a flaw, since
    others may have followed it.
    """
    return cut_stream(pieces, _Elements().cut)


class _Elements:
    """Whether the next character is within an array, and follows its bracket."""

    def __init__(self) -> None:
        self._inside = self._first = False

    def cut(self, content: bytes, last: bool) -> Generator[Record, None, int]:
        position = 0
        while position < len(content):
            if not self._inside:
                position = _skip(content, position)
                if content[position : position + 1] == b"[":
                    self._inside = self._first = True
                    position += 1
                    continue
            end = _element_end(content, position) if self._inside else _line_end(content, position)
            if end is None:
                break
            yield from self._record(content, position, end)
            position = end + 1
        if last and position < len(content):
            yield Record(content[position:].strip() or b"[", NOT_CLOSED if self._inside else None)
        elif last and self._inside:
            yield Record(b"[", NOT_CLOSED)
        return position

    def _record(self, content: bytes, start: int, end: int) -> Iterator[Record]:
        text = content[start:end].strip(b" \t\r\n")
        closes = self._inside and content[end : end + 1] == b"]"
        if text or (self._inside and not (closes and self._first)):
            yield Record(text or b",")
        self._inside, self._first = self._inside and not closes, False


def _skip(content: bytes, position: int) -> int:
    space = SPACE.match(content, position)
    assert space
    return space.end()


def _line_end(content: bytes, position: int) -> int | None:
    end = LINE_END.search(content, position)
    return end.start() if end else None


def _element_end(content: bytes, start: int) -> int | None:
    """Where the element that begins at a position ends: at a comma or bracket that is not within it."""
    depth = 0
    for token in TOKEN.finditer(content, start):
        match token[0]:
            case b'"':
                return None  # a string that goes on
            case b"," | b"]" if depth == 0:
                return token.start()
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth = max(depth - 1, 0)
    return None
