"""What a file of text is in truth, by its first bytes: compressed under a name that does not say so, or of another kind."""

from __future__ import annotations

from pipelines.errors import DataError

RENAMED = "Name it {ending}, so that it is unpacked, or unpack it"
UNPACKED = "Unpack it, or compress it by gzip (.gz)"
# The first bytes, what they are, and the way out. None is text: each has a byte that text lacks, or is longer than a word.
KINDS = (
    (b"\x1f\x8b", "compressed by gzip", RENAMED.format(ending=".gz")),
    (b"BZh91AY&SY", "compressed by bzip2", RENAMED.format(ending=".bz2")),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", UNPACKED),
    (b"\xfd7zXZ\0", "compressed by xz", UNPACKED),
    (b"PK\x03\x04", "a ZIP archive, such as an Excel workbook", "Unpack it, or save the workbook's sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office", "Save it as CSV"),
    (b"PAR1\x15", "a Parquet file", "Set sources.{source}.kind to parquet"),
    (b"Obj\x01", "an Avro file", "Convert it to Parquet or JSON lines"),
    (b"ARROW1\0\0", "an Arrow file", "Convert it to Parquet"),
    (b"SQLite format 3\0", "an SQLite database", "Set sources.{source}.kind to jdbc"),
)


def check_is_text(head: bytes, file: str, source: str) -> None:
    """Raise DataError, which says what the file is, when its first bytes are those of another kind than text."""
    for start, kind, advice in KINDS:
        if head.startswith(start):
            fix = advice.format(source=source)
            raise DataError(f"source {source}: {file} is {kind}; expected text. {fix}.")
