"""JSON files as a source: one object a line, or an array of objects, their members landed as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import ClassVar, Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StringType, StructField, StructType

from pipelines.errors import DataError
from pipelines.expressions import union_of
from pipelines.io.sources.base import EXTRA, NO_NUL, NO_UTF8, Drift, as_digits, received, without_mark
from pipelines.io.sources.file_heads import over_heads
from pipelines.io.sources.file_names import file_path
from pipelines.io.sources.files import FileSource, read_text
from pipelines.io.sources.folders import FolderColumn, folder_columns, folder_value
from pipelines.io.sources.json_arrays import SPACE, cut_elements
from pipelines.io.sources.json_numbers import mark_numbers, unmark_numbers
from pipelines.io.sources.records import UTF16
from pipelines.io.sources.whole_files import read_records
from schemas.contract import Table

HALF_PAIR = "line: expected surrogates in pairs, as in \\ud83d\\ude00, received half of a pair, which is no character"
# All that is escaped well, and then an escape that is not.
UNTIL_HALF_PAIR = r"\A(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])....|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)*+\\u[dD][89a-fA-F]"


class JsonFiles(FileSource):
    """JSON lines, or an array of objects in each file. A nested value lands as JSON text, a number as it is written; blank
    lines are no rows.
    """

    kind: Literal["jsonl"]

    fields_by_row: ClassVar[bool] = True

    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The files' rows; a member that is missing in an object is null, or what the file's folders say."""
        groups: dict[tuple[bool, tuple[FolderColumn, ...]], list[str]] = defaultdict(list)
        for file, start in zip(files, over_heads(spark, files, contract.name, _start), strict=True):
            if start in UTF16:
                raise DataError(
                    f"source {contract.name}: {file} is UTF-16; expected UTF-8, as JSON is written. Convert it: iconv "
                    f"-f utf-16 -t utf-8."
                )
            groups[start[:1] == b"[", folder_columns(file, contract, (), self.rename)].append(file)
        return union_of([self._rows(spark, contract, *key, members) for key, members in groups.items()])

    def _rows(
        self, spark: SparkSession, contract: Table, is_array: bool, folders: tuple[FolderColumn, ...], files: list[str]
    ) -> DataFrame:
        lines = _elements(spark, files) if is_array else _lines(spark, files)
        rows = lines.withColumn("line", without_mark(F.col("line"))).where(F.btrim("line", F.lit(" \t\r")) != "")
        path = F.col("file")
        parsed = parse_json(rows, contract, self.rename, self.drift, path, F.col("block"), F.col("row"), flaw=F.col("flaw"))
        is_row = F.col("broken_why").isNull()
        values = {column.name: F.when(is_row, folder_value(column, F.col("source_file"))) for column in folders}
        return parsed.withColumns({name: F.coalesce(F.col(f"`{name}`"), value) for name, value in values.items()})


def parse_json(
    rows: DataFrame,
    contract: Table,
    rename: dict[str, str],
    drift: Drift,
    location: Column,
    block: Column,
    row: Column,
    *,
    flaw: Column | None = None,
) -> DataFrame:
    """JSON objects, one a row in the column `line`, in the columns of `received`.

    `extra` holds the members that the contract does not know, unless they are to be ignored. `flaw` is why a line is known to
    be no row.
    """
    names = {name: [*(old for old, new in rename.items() if new == name), name] for name in contract.column_names}
    known = [spelling for spellings in names.values() for spelling in spellings]
    members = StructType([StructField(name, StringType()) for name in known])
    # Spark takes names that differ in case alone for the same: where a source renames, members are looked up in a map.
    schema = ArrayType(MapType(StringType(), StringType()) if rename else members)
    # In brackets, since a parser stops at the end of an object and would not see what follows it on the line.
    bracketed = F.concat(F.lit("["), F.col("marked"), F.lit("]"))
    parsed = (
        rows.withColumn("marked", mark_numbers(F.col("line")))
        .withColumns({"objects": F.from_json(bracketed, schema), "keys": F.json_object_keys("marked")})
        .withColumn("unknown", F.array_except("keys", F.array(*map(F.lit, known))))
        .withColumns({"why": _why(names, flaw), "object": F.get("objects", F.lit(0))})
    )
    others = F.map_filter(F.from_json("marked", EXTRA), lambda key, _: F.array_contains("unknown", key))
    has_others = (F.size("unknown") > 0) & F.col("why").isNull()
    return received(
        parsed,
        contract,
        {name: unmark_numbers(F.coalesce(*map(F.col("object").getItem, spellings))) for name, spellings in names.items()},
        extra=None if drift == "ignore" else F.when(has_others, F.transform_values(others, lambda _, v: unmark_numbers(v))),
        location=location,
        block=block,
        row=row,
        broken=F.when(F.col("why").isNotNull(), _kept_line()),
        why=F.col("why"),
    )


def _why(names: dict[str, list[str]], flaw: Column | None) -> Column:
    """Why a line is no row; null for one that is."""
    is_object = (F.size("objects") == 1) & F.get("objects", F.lit(0)).isNotNull()
    has_repeated_name = F.size("keys") > F.size(F.array_distinct("keys"))
    why = (
        F.when(F.lit(None).cast("string").isNotNull() if flaw is None else flaw.isNotNull(), flaw)
        .when(~F.is_valid_utf8("line"), F.lit(NO_UTF8))
        .when(F.contains("line", F.lit("\0")), F.lit(NO_NUL))
        .when(~F.coalesce(is_object, F.lit(False)), F.lit("line: expected one JSON object"))
        .when(_has_half_pairs(), F.lit(HALF_PAIR))
        .when(has_repeated_name, F.lit("line: expected each name once in an object, received one twice"))
    )
    for name, spellings in names.items():
        if len(spellings) > 1:
            both = F.size(F.array_intersect("keys", F.array(*map(F.lit, spellings)))) > 1
            why = why.when(both, F.lit(f"line: expected {name} once in an object, received it as {' and as '.join(spellings)}"))
    return why


def _has_half_pairs() -> Column:
    """Whether the line escapes half of a surrogate pair: Java would put a question mark in its place."""
    return (F.contains("line", F.lit("\\ud")) | F.contains("line", F.lit("\\uD"))) & F.col("line").rlike(UNTIL_HALF_PAIR)


def _kept_line() -> Column:
    return F.when(F.is_valid_utf8("line"), F.col("line")).otherwise(as_digits("line"))


def _start(pieces: Iterable[bytes]) -> bytes:
    """The first two bytes of a file that are no white space."""
    for piece in pieces:
        if start := SPACE.sub(b"", piece[:1024], count=1).strip():
            return piece[:2] if piece[:2] in UTF16 else start[:2]
    return b""


def _lines(spark: SparkSession, files: list[str]) -> DataFrame:
    return read_text(spark, files).select(
        F.col("value").alias("line"),
        F.lit(None).cast("string").alias("flaw"),
        F.monotonically_increasing_id().alias("row"),
        file_path().alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
    )


def _elements(spark: SparkSession, files: list[str]) -> DataFrame:
    # Python writes an array in one line; its objects all end with a brace.
    elements = read_records(spark, files, cut_elements, end="}")
    return elements.select(F.col("value").cast("string").alias("line"), "flaw", "row", "file", F.lit(0).alias("block"))
