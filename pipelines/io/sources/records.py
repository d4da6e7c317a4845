"""The records of a file that is read as a stream: memory holds one record at a time, whatever the size of the file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

LIMIT_BYTES = 1 << 26
TOO_LONG = f"line: expected a record of at most {LIMIT_BYTES >> 20} MiB, received one that does not end within it"
LINE_END = re.compile(rb"\r\n|\n|\r")
LINE_END_WITHIN = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a CR at the end of a piece may be half of a CR LF
UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Record(NamedTuple):
    """A record as its file has it, without its line end, and what is known to be wrong with it."""

    text: bytes
    flaw: str | None = None


class FileHead(NamedTuple):
    """How a file begins: its first two bytes, its first record that is not blank, and the character that ends its lines."""

    start: bytes = b""
    first: bytes | None = None
    line_end: str = "\n"


Cut = Callable[[Iterable[bytes]], Iterator[Record]]
"""Cuts the bytes of a file, which come in pieces, into records."""


def cut_stream(pieces: Iterable[bytes], cut: Callable[[bytes, bool], Generator[Record, None, int]]) -> Iterator[Record]:
    """The records of a file, whose bytes come in pieces.

    `cut` is given what is not cut yet, and whether that is all; it yields records, and returns where the rest begins. After a
    record of over `LIMIT_BYTES` the next one may begin anywhere, so all that follows has the flaw `TOO_LONG`.
    """
    rest, enough = b"", 0
    stream = iter(pieces)
    for piece in stream:
        rest += piece
        if len(rest) < enough:
            continue  # an open record is looked at again once it has doubled, so that all looks together take linear time
        rest = rest[(yield from cut(rest, False)) :]
        enough = 2 * len(rest)
        if len(rest) > LIMIT_BYTES:
            yield Record(rest, TOO_LONG)
            yield from (Record(following, TOO_LONG) for following in stream)
            return
    yield from cut(rest, True)


def cut_lines(pieces: Iterable[bytes]) -> Iterator[Record]:
    """Cut a file into its lines, without their line ends."""
    return cut_stream(pieces, _lines)


def cut_transcoded(pieces: Iterable[bytes], cut: Cut) -> Iterator[Record]:
    """The records of a file in UTF-16, as UTF-8."""
    return cut(as_utf8(pieces))


def as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """UTF-16 with a byte-order mark as UTF-8. What is no text there, as half a surrogate pair, is none in UTF-8 either."""
    decoder: codecs.IncrementalDecoder | None = None
    for piece in pieces:
        content = piece
        if decoder is None:
            decoder = codecs.getincrementaldecoder(UTF16.get(piece[:2], "utf-16-le"))("surrogatepass")
            content = piece[2:]
        yield decoder.decode(content).encode("utf-8", "surrogatepass")
    if decoder and decoder.getstate()[0].strip(b"\0"):  # of the last line end a zero may be left
        yield b"\xff"  # the file ends within a character


def read_head(pieces: Iterable[bytes], cut: Cut) -> FileHead:
    """How a file begins, of which the pieces are the beginning."""
    content = bytearray()

    def gathered() -> Iterator[bytes]:
        for piece in pieces:
            content.extend(piece)
            yield piece

    first = next((record.text for record in cut(gathered()) if record.text.strip(codecs.BOM_UTF8 + b" \t")), None)
    return FileHead(bytes(content[:2]), first, "\r" if b"\r" in content and b"\n" not in content else "\n")


def after_marks(content: bytes, start: int = 0) -> int:
    """Where the text begins that follows byte-order marks at a position; files that were saved twice have two."""
    while content.startswith(codecs.BOM_UTF8, start):
        start += len(codecs.BOM_UTF8)
    return start


def _lines(content: bytes, last: bool) -> Generator[Record, None, int]:
    position = 0
    for end in (LINE_END if last else LINE_END_WITHIN).finditer(content):
        yield Record(content[position : end.start()])
        position = end.end()
    if last and position < len(content):
        yield Record(content[position:])
    return position
