"""CSV files as a source, every field landed as the text that it was."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.errors import DataError
from pipelines.expressions import union_of
from pipelines.io.sources.base import received
from pipelines.io.sources.csv_format import CsvFormat
from pipelines.io.sources.csv_lines import Header, field, kept_line, parse_records
from pipelines.io.sources.csv_records import cut_records
from pipelines.io.sources.file_heads import over_heads
from pipelines.io.sources.file_names import file_path
from pipelines.io.sources.files import FileSource, read_text
from pipelines.io.sources.folders import FolderColumn, folder_columns, folder_value
from pipelines.io.sources.records import UTF16, Cut, FileHead, after_marks, cut_lines, cut_transcoded, read_head
from pipelines.io.sources.whole_files import read_records
from schemas.contract import Table
from schemas.spaces import SPACES, ZERO_WIDTH

SEPARATORS = ",;\t|"
NO_SEPARATORS = '"\r\n\0\x01\\\ufeff'


class _CsvGroup(NamedTuple):
    """Files that are read together: their header, the columns in their folders, and how their lines end."""

    header: Header
    folders: tuple[FolderColumn, ...]
    line_end: str


def _separates(character: str) -> str:
    if character in NO_SEPARATORS:
        raise ValueError("expected a character that is no quote, backslash, line end or control character of CSV")
    return character


class CsvFiles(FileSource):
    """CSV as RFC 4180 has it. Each file may order its columns as it likes.

    Blank lines, lines that repeat their file's header, and byte-order marks at the beginning of a line are no rows. A header
    that ends with a separator promises rows that do.
    """

    kind: Literal["csv"]
    separator: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_separates)] = ","
    """Character between fields."""
    encoding: Literal["utf-8", "iso-8859-1", "windows-1252", "utf-16"] = "utf-8"
    """Encoding of the files. UTF-16 needs a byte-order mark, and one task reads such a file."""
    header: bool = True
    """Whether each file begins with a line of field names. Without it fields come in the contract's order."""
    multiline: bool = False
    """Whether a quoted field may hold line ends, which stay as they are. One task reads such a file."""
    escape: Literal["\\"] | None = None
    """A backslash before a quote, the separator, a line end or a backslash stands for that character. Without it backslashes
    are text.
    """

    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The files' rows; files of one header, whose folders give the same columns, are read together."""
        groups: dict[_CsvGroup, list[str]] = defaultdict(list)
        needs_heads = self.header or self._is_whole
        heads = over_heads(spark, files, contract.name, self._head) if needs_heads else [FileHead()] * len(files)
        for file, head in zip(files, heads, strict=True):
            self._check_mark(head, file, contract)
            if not self.header:
                groups[_CsvGroup(Header("", contract.column_names), (), head.line_end)].append(file)
            elif head.first:
                header = self._parse_header(head.first, file, contract)
                folders = folder_columns(file, contract, header.fields, self.rename)
                groups[_CsvGroup(header, folders, head.line_end)].append(file)
        if not groups:
            raise DataError(f"source {contract.name}: {self.path} holds blank lines alone; expected a header line and rows.")
        for group, members in groups.items():
            self.check_fields(members[0], [*group.header.fields, *(column.name for column in group.folders)], contract)
        return union_of([self._rows(spark, contract, *group) for group in groups.items()])

    @property
    def _is_whole(self) -> bool:
        """Whether only a file's beginning tells where its lines, or its records, end."""
        return self.multiline or self.encoding == "utf-16"

    @property
    def _form(self) -> CsvFormat:
        return CsvFormat(self.separator, self.escape)

    @property
    def _cut(self) -> Cut:
        encoding = "utf-8" if self.encoding == "utf-16" else self.encoding
        pattern = re.compile(self._form.pattern.encode(encoding), re.DOTALL)
        cut: Cut = partial(cut_records, pattern=pattern) if self.multiline else cut_lines
        return partial(cut_transcoded, cut=cut) if self.encoding == "utf-16" else cut

    def _head(self, pieces: Iterable[bytes]) -> FileHead:
        return read_head(pieces, self._cut)

    def _check_mark(self, head: FileHead, file: str, contract: Table) -> None:
        has_mark = head.start in UTF16
        if has_mark == (self.encoding == "utf-16"):
            return
        source = f"sources.{contract.name}.encoding"
        if has_mark:
            raise DataError(
                f"source {contract.name}: {file} is UTF-16; expected {self.encoding}. Convert it: iconv -f utf-16 -t utf-8. Or "
                f"set {source} to utf-16."
            )
        raise DataError(
            f"source {contract.name}: {file} begins with no byte-order mark; expected one, since {source} is utf-16. Convert "
            f"the file to UTF-8, or set the encoding that it has."
        )

    def _parse_header(self, line: bytes, file: str, contract: Table) -> Header:
        prefix = f"source {contract.name}: the header of {file} can't be read:"
        fix = f"Fix the file, or sources.{contract.name}.encoding, .separator or .escape."
        encoding = "utf-8" if self.encoding == "utf-16" else self.encoding
        try:
            text = line[after_marks(line) :].decode(encoding)
        except UnicodeDecodeError as error:
            received_bytes = error.object[error.start : error.end].hex()
            raise DataError(f"{prefix} expected {encoding}, received the byte {received_bytes}. {fix}") from error
        names = self._form.split(text)
        if "\0" in text:
            raise DataError(
                f"{prefix} expected text, received NUL bytes, as in UTF-16 without a byte-order mark. Convert the file: iconv "
                f"-f utf-16le -t utf-8."
            )
        if other := self._other_separator(text, names, contract):
            raise DataError(
                f"{prefix} expected fields separated by {self.separator!r}, received {text[:200]!r}. Set "
                f"sources.{contract.name}.separator to {other!r}."
            )
        if names is None:
            raise DataError(f"{prefix} expected quotes around whole names and doubled within, received {text[:200]!r}. {fix}")
        fields = self.renamed([name.strip(SPACES + ZERO_WIDTH) for name in names], contract)
        trailing = len(fields) > 1 and not fields[-1]
        return Header(text, tuple(fields[:-1] if trailing else fields), trailing)

    def _other_separator(self, header: str, names: list[str] | None, contract: Table) -> str | None:
        """The character that separates the names of a header in which the configured one separates none."""
        known = {*contract.column_names, *self.rename}
        if names is not None and (len(names) > 1 or names[0] in known):
            return None
        for other in SEPARATORS.replace(self.separator, ""):
            parts = CsvFormat(other, self.escape).split(header) or []
            if len(known.intersection(part.strip(SPACES) for part in parts)) > 1:
                return other
        return None

    def _rows(self, spark: SparkSession, contract: Table, group: _CsvGroup, files: list[str]) -> DataFrame:
        header, form, path = group.header, self._form, F.col("file")
        records = self._records(spark, files, group.line_end)
        fields = {name: field(form, position) for position, name in enumerate(header.fields)}
        return received(
            parse_records(records, header, form, self.encoding),
            contract,
            {**{column.name: folder_value(column, path) for column in group.folders}, **fields},
            extra=self._extra(header, contract),
            location=path,
            block=F.col("block"),
            row=F.col("row"),
            broken=F.when(F.col("why").isNotNull(), kept_line()),
            why=F.col("why"),
        )

    def _records(self, spark: SparkSession, files: list[str], line_end: str) -> DataFrame:
        """The files' records as they are there: `value`, `flaw`, `file`, `block` and `row`."""
        if self._is_whole:
            records = read_records(spark, files, self._cut, end=line_end).withColumn("value", F.col("value").cast("string"))
            return records.withColumn("block", F.lit(0))
        return read_text(spark, files).select(
            "value",
            F.lit(None).cast("string").alias("flaw"),
            F.monotonically_increasing_id().alias("row"),
            file_path().alias("file"),
            F.col("_metadata.file_block_start").alias("block"),
        )

    def _extra(self, header: Header, contract: Table) -> Column | None:
        unknown = [position for position, name in enumerate(header.fields) if name not in contract.column_names]
        if self.drift != "add" or not unknown:
            return None
        return F.create_map(
            *(part for position in unknown for part in (F.lit(header.fields[position]), field(self._form, position)))
        )
