"""Raw text to clean rows: parse, validate, place in the interval, deduplicate. Every row gets one verdict, none is lost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.contract import Column, Table

CLEAN, QUARANTINED, DUPLICATE, FILTERED = "clean", "quarantined", "duplicate", "filtered"
VERDICTS = (CLEAN, QUARANTINED, DUPLICATE, FILTERED)
REASONS, RAW, TIE, VERDICT = "_reasons", "_raw", "_tie", "_verdict"


class Judged(NamedTuple):
    """A judged frame cut in the parts that are kept; the rows of both, duplicates and filtered are the whole."""

    clean: DataFrame
    quarantined: DataFrame


def judge(raw: DataFrame, contract: Table, start: datetime, end: datetime) -> DataFrame:
    """Parse and judge each landed row of a source.

    Adds to the contract's columns, parsed, every reason against the row; where there is one, the row as received (JSON, or
    the broken line); and the row's verdict: quarantined when there is a reason; filtered when its event time is outside
    [start, end); duplicate when another row of its key wins; clean otherwise.
    """
    parsed = _parse(raw, contract)
    verdict = F.when(F.size(REASONS) > 0, QUARANTINED)
    if contract.event_time:
        inside = (F.col(contract.event_time) >= F.lit(start)) & (F.col(contract.event_time) < F.lit(end))
        verdict = verdict.when(~inside, FILTERED)
    judged = parsed.withColumn(VERDICT, verdict.otherwise(CLEAN))
    return _mark_duplicates(judged, contract) if contract.key else judged


def split_judged(judged: DataFrame, contract: Table) -> Judged:
    """Cut a judged frame into the contract's clean rows and the quarantined ones with their reasons."""
    clean = judged.where(F.col(VERDICT) == CLEAN).select(*contract.column_names)
    quarantined = judged.where(F.col(VERDICT) == QUARANTINED).select(
        F.col(REASONS).alias("reasons"), "source_file", F.col(RAW).alias("raw")
    )
    return Judged(clean, quarantined)


def count_verdicts(judged: DataFrame) -> DataFrame:
    """One row: how many rows got each verdict, a bigint column for each, and one reason of a quarantined row as `example`."""
    counts = [F.count_if(F.col(VERDICT) == verdict).alias(verdict) for verdict in VERDICTS]
    return judged.agg(*counts, F.min(F.get(REASONS, F.lit(0))).alias("example"))


def event_time(contract: Table) -> SparkColumn:
    """The event time of a landed row, null where it can't be read or the contract has none."""
    if contract.event_time is None:
        return F.lit(None).cast("timestamp")
    column = contract.column(contract.event_time)
    return F.when(F.col("broken_line").isNull(), _value(_text(column.name, contract.null_tokens), column))


def _parse(raw: DataFrame, contract: Table) -> DataFrame:
    texts = {column.name: _text(column.name, contract.null_tokens) for column in contract.columns}
    values = {column.name: _value(texts[column.name], column) for column in contract.columns}
    typed = raw.select(
        *(value.alias(name) for name, value in values.items()),
        F.struct(*(text.alias(name) for name, text in texts.items())).alias("_text"),
        F.struct(*contract.column_names).alias("_received"),
        "broken_line",
        "broken_why",
        "source_file",
    )
    reasons = F.when(F.col("broken_line").isNotNull(), F.array("broken_why"))
    return typed.select(
        *contract.column_names,
        reasons.otherwise(F.array_compact(F.array(*_reasons(contract)))).alias(REASONS),
        "_received",
        "broken_line",
        F.xxhash64("_received").alias(TIE),
        "source_file",
    ).select(
        *contract.column_names,
        REASONS,
        # Only what is refused is kept as text: for all rows it would be most of what the deduplication moves.
        F.when(F.size(REASONS) > 0, F.coalesce("broken_line", F.to_json("_received"))).alias(RAW),
        TIE,
        "source_file",
    )


def _text(name: str, null_tokens: tuple[str, ...]) -> SparkColumn:
    trimmed = F.trim(F.col(name))
    return F.when(~trimmed.isin(*null_tokens), trimmed)


def _value(text: SparkColumn, column: Column) -> SparkColumn:
    if column.type == "string":
        return text
    if column.type == "timestamp":
        return F.try_to_timestamp(text)
    return text.try_cast(column.type)


def _reasons(contract: Table) -> Iterable[SparkColumn]:
    for column in contract.columns:
        yield _column_reason(column)
    for rule in contract.rules:
        broken = ~F.coalesce(F.expr(rule.holds), F.lit(True))
        yield F.when(broken, F.lit(f"rule: {rule.name} ({rule.holds})"))


def _column_reason(column: Column) -> SparkColumn:
    value, text = F.col(column.name), F.col("_text").getField(column.name)
    checks: list[tuple[SparkColumn, str]] = [(text.isNotNull() & value.isNull(), f"a value of type {column.type}")]
    if not column.nullable:
        checks.append((text.isNull(), "a value"))
    if column.minimum is not None:
        checks.append((value < column.minimum, f"at least {column.minimum:g}"))
    if column.maximum is not None:
        checks.append((value > column.maximum, f"at most {column.maximum:g}"))
    if column.type in ("float", "double"):
        checks.append((F.isnan(value) | (F.abs(value) == float("inf")), "a finite number"))
    if column.allowed:
        checks.append((~value.isin(*column.allowed), f"one of {', '.join(column.allowed)}"))
    if column.pattern:
        checks.append((~value.rlike(column.pattern), f"text like {column.pattern}"))
    shown = F.coalesce(F.concat(F.lit("'"), F.substring(text, 1, 100), F.lit("'")), F.lit("nothing"))
    reason = F.lit(None).cast("string")
    for broken, expected in reversed(checks):
        message = F.concat(F.lit(f"{column.name}: expected {expected}, received "), shown)
        reason = F.when(broken, message).otherwise(reason)
    return reason


def _mark_duplicates(judged: DataFrame, contract: Table) -> DataFrame:
    """Of the clean rows of one key the greatest by `latest_by` stays; ties fall to a hash of the text, the same each run."""
    is_clean = F.col(VERDICT) == CLEAN
    order = [F.col(name).desc_nulls_last() for name in contract.latest_by]
    keys = [F.when(is_clean, F.col(name)) for name in contract.key]
    place = F.row_number().over(Window.partitionBy(is_clean, *keys).orderBy(*order, F.col(TIE).desc()))
    lost = is_clean & (F.col("_place") > 1)
    return (
        judged.withColumn("_place", place).withColumn(VERDICT, F.when(lost, DUPLICATE).otherwise(F.col(VERDICT))).drop("_place")
    )
