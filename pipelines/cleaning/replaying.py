"""Validate quarantined rows again, among the clean rows that they may join."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from pipelines.cleaning.duplicates import mark_duplicates
from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.rows import RAW, as_validated, validate_rows
from schemas.contract import LANDING_ORDER, Column, Table
from schemas.names import internal

JOINED = internal("joined")
"""Whether a row came from quarantine; the others were clean already."""


class ReplayedRows(NamedTuple):
    """Quarantined rows that can't be validated again, unchanged; and all others, validated among the clean rows."""

    unchanged: DataFrame
    validated: DataFrame


def replay(
    clean: DataFrame, refused: DataFrame, contract: Table, start: datetime, end: datetime, inputs: CleaningInputs
) -> ReplayedRows:
    """Validate the quarantined rows of a source and interval again. Its clean rows are not validated anew.

    A line that was no row stays what it is: it changes when its file is landed again. So do rows that were refused for a
    personal value, of which there is only the hash. Of one key the same row wins as if all had been cleaned at once.
    """
    hashed_contract = without_secrets(contract)
    unrepairable = F.col("unparsed") | F.exists("reasons", lambda reason: reason.rlike(_personal(contract)))
    validated = validate_rows(_as_landed(refused.where(~unrepairable), hashed_contract), hashed_contract, start, end, inputs)
    all_rows = (
        as_validated(clean, hashed_contract)
        .withColumn(JOINED, F.lit(False))
        .unionByName(validated.withColumn(JOINED, F.lit(True)))
    )
    return ReplayedRows(refused.where(unrepairable), mark_duplicates(all_rows, hashed_contract))


def without_secrets(contract: Table) -> Table:
    """The contract of rows whose personal values are hashed already, or gone."""
    columns = tuple(Column(c.name, "string") if c.personal else c for c in contract.columns)
    return replace(contract, columns=columns)


def _personal(contract: Table) -> str:
    names = [re.escape(column.name) for column in contract.columns if column.personal]
    return rf"\b({'|'.join(names)})\b" if names else "$^"


def _as_landed(refused: DataFrame, contract: Table) -> DataFrame:
    fields = StructType([StructField(name, StringType()) for name in contract.column_names])
    null_text = F.lit(None).cast("string")
    return refused.withColumn(RAW, F.from_json("raw", fields)).select(
        *(F.col(RAW).getField(name).alias(name) for name in contract.column_names),
        F.lit(None).cast("map<string,string>").alias("extra"),
        "source_file",
        F.lit(None).cast("bigint").alias("source_block"),
        F.col("source_line").alias("source_row"),
        null_text.alias("broken_line"),
        null_text.alias("broken_why"),
        *((LANDING_ORDER,) if contract.in_landing_order else ()),
    )
