"""CSV files as a source, every field landed as the text that it was."""

from __future__ import annotations

import csv
from collections import defaultdict
from typing import Annotated, Literal, NamedTuple

from pydantic import Field
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from pipelines.errors import DataError
from pipelines.expressions import union_of
from pipelines.io.files import FileSource, exact, first_lines, read_text
from pipelines.io.source import NO_UTF8, as_digits, received
from schemas.contract import Table

BOM = b"\xef\xbb\xbf"
WINDOWS_1252 = (
    "\x80\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8e\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9e\x9f",
    "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ",
)
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Header(NamedTuple):
    """A header line, as text, and the names in it."""

    line: str
    fields: tuple[str, ...]


class CsvFiles(FileSource):
    """CSV as RFC 4180 has it, with a header line in each file unless `header` is off: then fields come in the contract's order.

    Files may order their columns each as it likes. `multiline` allows line breaks within quotes; such files can't be split
    among tasks. Blank lines, and lines that repeat their file's header, are no rows.
    """

    kind: Literal["csv"]
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8", "iso-8859-1", "windows-1252"] = "utf-8"
    header: bool = True
    multiline: bool = False

    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The files' rows; files of one header are read together."""
        groups: dict[Header, list[str]] = defaultdict(list)
        if self.header:
            for file, line in zip(files, first_lines(spark, files, contract.name), strict=True):
                if line:
                    groups[self._parse_header(line, file, contract)].append(file)
        else:
            groups[Header("", contract.column_names)] = files
        if not groups:
            raise DataError(f"source {contract.name}: {self.path} holds blank lines alone; expected a header line and rows.")
        for header, members in groups.items():
            self.check_fields(members[0], list(header.fields), contract)
        read = self._read_records if self.multiline else self._read_lines
        return union_of([read(spark, contract, *group) for group in groups.items()])

    def _parse_header(self, line: bytes, file: str, contract: Table) -> Header:
        if line.startswith(UTF16_MARKS):
            raise DataError(
                f"source {contract.name}: {file} is UTF-16; expected {self.encoding}. Convert it: iconv -f utf-16 -t utf-8."
            )
        try:
            text = line.removeprefix(BOM).decode(self.encoding)
            names = next(csv.reader([text], delimiter=self.separator, strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"source {contract.name}: the header of {file} can't be read: {error}. Mend the file, or "
                f"sources.{contract.name}.encoding or .separator."
            ) from error
        return Header(text, tuple(self.renamed([name.strip() for name in names], contract)))

    def _read_lines(self, spark: SparkSession, contract: Table, header: Header, files: list[str]) -> DataFrame:
        numbered = read_text(spark, files).select(
            "value",
            F.monotonically_increasing_id().alias("row"),
            F.col("_metadata.file_path").alias("file"),
            F.col("_metadata.file_block_start").alias("block"),
        )
        line = F.col("value") if self.encoding == "utf-8" else _decoded(self.encoding)
        rows = numbered.where(F.trim("value") != "").withColumn("line", line)
        if self.header:
            rows = rows.where(F.col("line") != header.line)
        parsed = rows.withColumn("parsed", F.from_csv("line", self._schema(header).simpleString(), self._options()))
        mark = F.lit('"')
        marks = F.octet_length("line") - F.octet_length(F.replace("line", mark))
        odd = F.contains(F.col("line"), mark) & (marks % 2 == 1)
        is_text = F.is_valid_utf8("line") if self.encoding == "utf-8" else F.lit(True)
        why = (
            F.when(~is_text, F.lit(NO_UTF8))
            .when(F.contains("line", F.lit("\0")), F.lit("line: expected text, received a NUL byte"))
            .when(odd, F.lit("line: expected quotes in pairs, received an odd number"))
            .when(F.col("parsed.broken_line").isNotNull(), _not_as_many(header))
        )
        judged = parsed.withColumn("why", why)
        kept = F.when(~is_text, as_digits("line")).otherwise(F.col("line"))
        return received(
            judged,
            contract,
            _fields(header, "parsed"),
            extra=self._extra(header, contract),
            place=F.col("file"),
            block=F.col("block"),
            row=F.col("row"),
            broken=F.when(F.col("why").isNotNull(), kept),
            why=F.col("why"),
        )

    def _read_records(self, spark: SparkSession, contract: Table, header: Header, files: list[str]) -> DataFrame:
        reader = spark.read.options(**self._options(), header=self.header, multiLine=True, encoding=self.encoding)
        # Spark holds every file's header against the schema's names, so they are the file's own until here.
        rows = reader.option("recursiveFileLookup", True).schema(self._schema(header)).csv([exact(file) for file in files])
        return received(
            rows.select(
                F.struct("*").alias("parsed"),
                F.monotonically_increasing_id().alias("row"),
                F.col("_metadata.file_path").alias("file"),
            ),
            contract,
            _fields(header, "parsed"),
            extra=self._extra(header, contract),
            place=F.col("file"),
            block=F.lit(0),
            row=F.col("row"),
            broken=F.col("parsed.broken_line"),
            why=F.when(F.col("parsed.broken_line").isNotNull(), _not_as_many(header)),
        )

    def _schema(self, header: Header) -> StructType:
        # By position: names may hold what DDL and Spark's own checks do not take, or occur in the contract in another case.
        fields = [StructField(f"f{position}", StringType()) for position in range(len(header.fields))]
        return StructType([*fields, StructField("broken_line", StringType())])

    def _options(self) -> dict[str, str]:
        return {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "broken_line", "escape": '"', "sep": self.separator}

    def _extra(self, header: Header, contract: Table) -> Column | None:
        unknown = [position for position, name in enumerate(header.fields) if name not in contract.column_names]
        if self.drift != "add" or not unknown:
            return None
        pairs = [part for at in unknown for part in (F.lit(header.fields[at]), F.col(f"parsed.f{at}"))]
        return F.create_map(*pairs)


def _fields(header: Header, struct: str) -> dict[str, Column]:
    return {name: F.col(f"{struct}.f{position}") for position, name in enumerate(header.fields)}


def _not_as_many(header: Header) -> Column:
    return F.lit(f"line: expected {len(header.fields)} fields, received another number")


def _decoded(encoding: str) -> Column:
    latin = F.decode(F.col("value").cast("binary"), "ISO-8859-1")
    # Spark has no name for windows-1252, which is Latin-1 but for these; five bytes mean nothing in it and stay as they are.
    return latin if encoding == "iso-8859-1" else F.translate(latin, *WINDOWS_1252)
