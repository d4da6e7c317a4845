"""Landed rows with their values, the texts that these were read from, and whether a check refuses them."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.checking import Check, known_name, refusing_sql, rule_name, text_name
from pipelines.cleaning.inputs import CleaningInputs, carried_columns
from pipelines.cleaning.parsing import received_text, value_of
from pipelines.cleaning.privacy import hashed, with_key
from pipelines.expressions import col, cols
from schemas.contract import Reference, Table
from schemas.names import internal

RECEIVED, REFUSED = internal("received"), internal("refused")
POSITION = ("source_file", "source_block", "source_row")


def parse_rows(raw: DataFrame, contract: Table, inputs: CleaningInputs, checks: Sequence[Check]) -> DataFrame:
    """Each landed row's values, the texts that they were read from, and whether a check refuses the row (`REFUSED`)."""
    # Texts are a projection of their own: Spark would work them out anew wherever one is used.
    others = [
        F.struct(*_received_columns(contract)).alias(RECEIVED),
        *cols(("broken_line", "broken_why", *POSITION, *carried_columns(contract, inputs))),
    ]
    texts = [received_text(c, contract, extras=inputs.extras).alias(text_name(c)) for c in contract.columns]
    read = with_key(raw, inputs.key).select(*texts, *others)
    values = [value_of(col(text_name(c)), c).alias(c.name) for c in contract.columns]
    parsed = read.select("*", *values)
    if contract.rules:
        parsed = parsed.select(
            "*", *(F.expr(rule.holds).alias(rule_name(number)) for number, rule in enumerate(contract.rules))
        )
    for number, reference in enumerate(contract.references):
        parsed = _join_known(parsed, reference, known_name(number), inputs)
    # From the checks, not from the findings: Spark interprets functions of arrays, and all that is put into them.
    refusing = F.expr(refusing_sql(checks))
    return parsed.withColumn(REFUSED, F.col("broken_line").isNotNull() | F.coalesce(refusing, F.lit(False)))


def _received_columns(contract: Table) -> list[Column]:
    columns = [column for column in contract.columns if column.personal != "drop"]
    return [hashed(col(c.name)).alias(c.name) if c.personal else col(c.name) for c in columns]


def _join_known(parsed: DataFrame, reference: Reference, marker: str, inputs: CleaningInputs) -> DataFrame:
    names = [internal(f"to {name}") for name in (*reference.to, *inputs.interval_columns)]
    targets = (
        inputs.referenced_rows[reference.source]
        .select(*(col(to).alias(name) for to, name in zip((*reference.to, *inputs.interval_columns), names, strict=True)))
        .distinct()
    )
    pairs = zip((*reference.columns, *inputs.interval_columns), names, strict=True)
    matches = [col(column) == col(name) for column, name in pairs]
    marked = targets.withColumn(marker, F.lit(True))
    # Spark does not know the size of what is not yet computed, and would sort both sides.
    joined = parsed.join(marked if reference.source in inputs.large_sources else F.broadcast(marked), matches, "left")
    return joined.drop(*names)
