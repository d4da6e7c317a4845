"""JSON lines as a source: one object a line, its members landed as text."""

from __future__ import annotations

from typing import ClassVar, Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StringType, StructField, StructType

from pipelines.io.files import FileSource, read_text
from pipelines.io.source import EXTRA, NO_UTF8, Drift, as_digits, received
from schemas.contract import Table


class JsonFiles(FileSource):
    """JSON lines. A nested value lands as JSON text, a number as JSON writes it (1.10 as 1.1); blank lines are no rows."""

    kind: Literal["jsonl"]

    fields_by_row: ClassVar[bool] = True

    def read_files(self, spark: SparkSession, contract: Table, files: list[str]) -> DataFrame:
        """The files' rows; a member that is missing in an object is null."""
        lines = read_text(spark, files).select(
            F.col("value").alias("line"),
            F.monotonically_increasing_id().alias("row"),
            F.col("_metadata.file_path").alias("file"),
            F.col("_metadata.file_block_start").alias("block"),
        )
        rows = lines.where(F.length(F.trim("line")) > 0)
        return parse_json(rows, contract, self.rename, self.drift, F.col("file"), F.col("block"), F.col("row"))


def parse_json(
    rows: DataFrame, contract: Table, rename: dict[str, str], drift: Drift, place: Column, block: Column, row: Column
) -> DataFrame:
    """JSON objects, one a row in the column `line`, in the columns of `received`.

    `extra` holds the members that the contract does not know, unless they are to be ignored.
    """
    names = {name: [*(old for old, new in rename.items() if new == name), name] for name in contract.column_names}
    known = [spelling for spellings in names.values() for spelling in spellings]
    # In brackets, since a parser stops at the end of an object and would not see what follows it on the line.
    bracketed = F.concat(F.lit("["), F.col("line"), F.lit("]"))
    members = StructType([StructField(name, StringType()) for name in known])
    # Spark takes names that differ in case alone for the same: where a source renames, members are looked up in a map.
    schema = ArrayType(MapType(StringType(), StringType()) if rename else members)
    keys = F.lit(None).cast("array<string>") if drift == "ignore" else F.json_object_keys("line")
    parsed = rows.withColumns({"objects": F.from_json(bracketed, schema), "keys": keys}).withColumn(
        "unknown", F.array_except("keys", F.array(*map(F.lit, known)))
    )
    twice = F.size("keys") > F.size(F.array_distinct("keys"))
    is_object = (F.size("objects") == 1) & F.get("objects", F.lit(0)).isNotNull()
    why = (
        F.when(~F.is_valid_utf8("line"), F.lit(NO_UTF8))
        .when(F.contains("line", F.lit("\0")), F.lit("line: expected text, received a NUL byte"))
        .when(~F.coalesce(is_object, F.lit(False)), F.lit("line: expected one JSON object"))
        .when(twice, F.lit("line: expected each name once in an object, received one twice"))
    )
    kept = F.when(F.is_valid_utf8("line"), F.col("line")).otherwise(as_digits("line"))
    whole = parsed.withColumns({"why": why, "object": F.get("objects", F.lit(0))})
    others = F.map_filter(F.from_json("line", EXTRA), lambda key, _: F.array_contains("unknown", key))
    return received(
        whole,
        contract,
        {name: F.coalesce(*(F.col("object").getItem(s) for s in spellings)) for name, spellings in names.items()},
        extra=F.when((F.size("unknown") > 0) & F.col("why").isNull(), others),
        place=place,
        block=block,
        row=row,
        broken=F.when(F.col("why").isNotNull(), kept),
        why=F.col("why"),
    )
