"""Raw text to clean rows: parse, check, place in the interval, deduplicate. Every row gets one verdict, none is lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.checking import Check, all_checks, findings
from pipelines.cleaning.duplicates import (
    CLEAN,
    DUPLICATE,
    FILTERED,
    FINDINGS,
    KEY,
    QUARANTINED,
    REPEATED,
    TIE,
    VERDICT,
    mark_duplicates,
)
from pipelines.cleaning.inputs import Bound, CleaningInputs, carried_columns
from pipelines.cleaning.outliers import fenced
from pipelines.cleaning.parsed_rows import POSITION, RECEIVED, REFUSED, parse_rows
from pipelines.cleaning.parsing import received_text, value_of
from pipelines.cleaning.privacy import stored_columns, with_key
from pipelines.expressions import any_sql, col, cols, quoted
from schemas.contract import LANDING_ORDER, Table
from schemas.names import internal

VERDICTS = (CLEAN, QUARANTINED, REPEATED, DUPLICATE, FILTERED)
BROKEN = "broken"
RAW, UNPARSED = internal("raw"), internal("unparsed")
FINDINGS_TYPE = "array<struct<name:string,severity:string,message:string>>"
WITHHELD = "withheld, since this source has personal columns: the raw table holds it"


class Validated(NamedTuple):
    """The parts of validated rows that are stored. Both, the duplicates and the filtered rows add up to all rows."""

    clean: DataFrame
    quarantined: DataFrame


def validate_rows(raw: DataFrame, contract: Table, start: Bound, end: Bound, inputs: CleaningInputs | None = None) -> DataFrame:
    """Parse and validate each landed row of a source; the interval's bounds may be columns of `inputs.interval_columns`.

    Adds to the contract's columns, parsed, every rule that the row breaks (`FINDINGS`); where one of them refuses it, the
    row as received (JSON, or the broken line); and the row's verdict: quarantined when it is refused; filtered when its event
    time is outside [start, end); when another row of its key wins, repeated if both are the same in every column, else
    duplicate; clean otherwise.
    """
    inputs = inputs or CleaningInputs()
    return mark_duplicates(
        check_rows(raw, contract, start, end, inputs, checks_of(contract, inputs)), contract, inputs.interval_columns
    )


def check_rows(
    raw: DataFrame, contract: Table, start: Bound, end: Bound, inputs: CleaningInputs, checks: Sequence[Check]
) -> DataFrame:
    """Parse and validate each landed row by itself, by these checks: `validate_rows` without the search for duplicates."""
    verdict = F.when(F.col(REFUSED), QUARANTINED).when(outside_interval(contract, start, end), FILTERED).otherwise(CLEAN)
    checked = _with_findings(parse_rows(raw, contract, inputs, checks), contract, checks, carried_columns(contract, inputs))
    return checked.withColumn(VERDICT, verdict).drop(REFUSED)


def outside_interval(contract: Table, start: Bound, end: Bound) -> Column:
    """Whether a row's event time is known and not in [start, end)."""
    if contract.event_time is None:
        return F.lit(False)
    return ~((col(contract.event_time) >= F.lit(start)) & (col(contract.event_time) < F.lit(end)))


def shared_keys(raw: DataFrame, contract: Table, inputs: CleaningInputs) -> DataFrame:
    """Hashes of the keys that more than one landed row has, whatever else these rows are; one column, `KEY`."""
    columns = [contract.column(name) for name in contract.key]
    values = [value_of(received_text(column, contract, extras=inputs.extras), column) for column in columns]
    counted = raw.select(F.xxhash64(*values).alias(KEY)).groupBy(KEY).agg(F.count("*").alias("rows"))
    return counted.where(F.col("rows") > 1).select(KEY)


def as_validated(clean: DataFrame, contract: Table) -> DataFrame:
    """Rows that were clean before, in the columns of `validate_rows`; columns of the contract that they lack are null."""
    present = set(clean.columns)
    columns = {c.name: col(c.name) if c.name in present else F.lit(None).cast(c.type) for c in contract.columns}
    return clean.select(
        *(column.alias(name) for name, column in columns.items()),
        F.array().cast(FINDINGS_TYPE).alias(FINDINGS),
        F.lit(None).cast("string").alias(RAW),
        F.lit(False).alias(UNPARSED),
        _tie(contract).alias(TIE),
        F.lit(None).cast("string").alias("source_file"),
        F.lit(None).cast("bigint").alias("source_block"),
        F.lit(None).cast("bigint").alias("source_row"),
        F.lit(CLEAN).alias(VERDICT),
        *([_landing_order(present).alias(LANDING_ORDER)] if contract.in_landing_order else []),
    )


def _landing_order(columns: Collection[str]) -> Column:
    return F.col(LANDING_ORDER) if LANDING_ORDER in columns else F.lit(None).cast("string")


def split_validated(validated: DataFrame, contract: Table, inputs: CleaningInputs | None = None) -> Validated:
    """Split validated rows into clean ones, personal values hashed or left out, and quarantined ones with their reasons."""
    inputs = inputs or CleaningInputs()
    refusing = F.filter(FINDINGS, lambda finding: finding.severity == "quarantine")
    quarantined = validated.where(F.col(VERDICT) == QUARANTINED).select(
        *inputs.interval_columns,
        _landing_order(validated.columns).alias(LANDING_ORDER),
        F.transform(refusing, lambda finding: finding.message).alias("reasons"),
        *POSITION,
        F.col(RAW).alias("raw"),
        F.col(UNPARSED).alias("unparsed"),
    )
    return Validated(clean_rows(validated, contract, inputs), quarantined)


def clean_rows(validated: DataFrame, contract: Table, inputs: CleaningInputs) -> DataFrame:
    """The clean rows as they are stored: outliers are clipped or flagged, personal values hashed or left out."""
    changed = fenced(contract, inputs.fences)
    clean = with_key(validated.where(F.col(VERDICT) == CLEAN).withColumns(changed), inputs.key)
    added = [name for name in changed if name not in contract.column_names]
    return clean.select(*carried_columns(contract, inputs), *stored_columns(contract), *cols(added))


def verdicts(contract: Table) -> list[Column]:
    """Aggregates over validated rows: how many rows got each verdict, a bigint column for each; one reason of a quarantined row
    as `example`; the clean rows' newest event time as `newest`; and how many rows break a rule (`broken`).
    """
    counts = [F.count_if(F.col(VERDICT) == verdict).alias(verdict) for verdict in VERDICTS]
    example = F.min(F.when(F.col(VERDICT) == QUARANTINED, F.get(FINDINGS, F.lit(0)).message)).alias("example")
    newest = col(contract.event_time) if contract.event_time else F.lit(None).cast("timestamp")
    broken = F.count_if(_breaks_a_rule()).alias(BROKEN)
    return [*counts, example, F.max(F.when(F.col(VERDICT) == CLEAN, newest)).alias("newest"), broken]


def count_broken(validated: DataFrame, interval_columns: Sequence[str] = ()) -> DataFrame:
    """How many rows broke each rule: `name`, `severity`, `rows`, and one `message`. Filtered rows are not counted.

    Each interval's rows are counted by themselves, and the counts have the `interval_columns`.
    """
    exploded = (
        validated.where(_breaks_a_rule())
        .select(*interval_columns, F.explode(FINDINGS).alias("found"))
        .select(*interval_columns, "found.*")
    )
    return exploded.groupBy(*interval_columns, "name", "severity").agg(
        F.count("*").alias("rows"), F.min("message").alias("message")
    )


def _breaks_a_rule() -> Column:
    return (F.size(FINDINGS) > 0) & (F.col(VERDICT) != FILTERED)


def event_time(contract: Table) -> Column:
    """The event time of a landed row, null where it can't be read or the contract has none."""
    if contract.event_time is None:
        return F.lit(None).cast("timestamp")
    column = contract.column(contract.event_time)
    return F.when(F.col("broken_line").isNull(), value_of(received_text(column, contract), column))


def checks_of(contract: Table, inputs: CleaningInputs) -> list[Check]:
    """The contract's promises about one row, as checks of what `parse_rows` gives."""
    return all_checks(contract, inputs.fences)


def _with_findings(parsed: DataFrame, contract: Table, checks: Sequence[Check], carried: Sequence[str]) -> DataFrame:
    # One condition shows that a row breaks no rule; Spark computes the findings only for the few rows that break one.
    broken = F.expr(any_sql([quoted(REFUSED), *(check.broken for check in checks if check.severity != "quarantine")]))
    line = F.struct(F.lit("line").alias("name"), F.lit("quarantine").alias("severity"), F.col("broken_why").alias("message"))
    findings_of_row = (
        F.when(F.col("broken_line").isNotNull(), F.array(line))
        .when(broken, findings(checks))
        .otherwise(F.array().cast(FINDINGS_TYPE))
    )
    as_landed = (RECEIVED, "broken_line", *POSITION, *carried)
    checked = parsed.select(*cols(contract.column_names), findings_of_row.alias(FINDINGS), REFUSED, *as_landed)
    refused = F.col(REFUSED) | F.lit(bool(contract.unique))  # uniqueness may refuse any row, later
    kept_line = F.lit(WITHHELD) if any(c.personal for c in contract.columns) else F.col("broken_line")
    as_received = F.when(F.col("broken_line").isNotNull(), kept_line).otherwise(F.to_json(RECEIVED))
    return checked.select(
        *cols(contract.column_names),
        FINDINGS,
        REFUSED,
        # Only what is refused is kept as text: for all rows it would be most of what the deduplication moves.
        F.when(refused, as_received).alias(RAW),
        F.col("broken_line").isNotNull().alias(UNPARSED),
        _tie(contract).alias(TIE),
        *(F.when(refused, F.col(name)).alias(name) for name in POSITION),
        *carried,
    )


def _tie(contract: Table) -> Column:
    return F.xxhash64(*cols(column.name for column in contract.columns if not column.personal))
