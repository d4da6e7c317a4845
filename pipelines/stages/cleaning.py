"""Raw text to clean rows: parse, check, place in the interval, deduplicate. Every row gets one verdict, none is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.stages.checking import TEXTS, Check, Fences, all_checks
from pipelines.stages.duplicates import (
    CLEAN,
    DUPLICATE,
    FILTERED,
    FOUND,
    KEY,
    QUARANTINED,
    REPEATED,
    TIE,
    VERDICT,
    mark_duplicates,
)
from pipelines.stages.outliers import fenced
from pipelines.stages.parsing import received_text, value_of
from pipelines.stages.privacy import hashed, kept_columns, with_key
from schemas.contract import Reference, Table

VERDICTS = (CLEAN, QUARANTINED, REPEATED, DUPLICATE, FILTERED)
RECEIVED, RAW, UNPARSED = "_received", "_raw", "_unparsed"
PLACE = ("source_file", "source_block", "source_row")
FINDINGS = "array<struct<name:string,severity:string,message:string>>"
WITHHELD = "withheld, since this source has personal columns: the raw table holds it"


class Judged(NamedTuple):
    """A judged frame cut in the parts that are kept; the rows of both, duplicates and filtered are the whole."""

    clean: DataFrame
    quarantined: DataFrame


class Aids(NamedTuple):
    """What judging a row takes beside the row: rows that references point to, by source; fitted fences; the hash key as a
    frame; whether the contract's columns may be among the source's extra fields; and referenced sources that are too large
    for every task to hold.
    """

    known: Mapping[str, DataFrame] = MappingProxyType({})
    fences: Fences = MappingProxyType({})
    key: DataFrame | None = None
    extras: bool = False
    large: Collection[str] = ()


def judge(raw: DataFrame, contract: Table, start: datetime, end: datetime, aids: Aids | None = None) -> DataFrame:
    """Parse and judge each landed row of a source.

    Adds to the contract's columns, parsed, every promise that the row breaks (`_found`); where one of them refuses it, the
    row as received (JSON, or the broken line); and the row's verdict: quarantined when it is refused; filtered when its event
    time is outside [start, end); when another row of its key wins, repeated if both are the same in every column, else
    duplicate; clean otherwise.
    """
    return mark_duplicates(check_rows(raw, contract, start, end, aids), contract)


def check_rows(raw: DataFrame, contract: Table, start: datetime, end: datetime, aids: Aids | None = None) -> DataFrame:
    """Parse and judge each landed row by itself: all that `judge` does but for telling duplicates."""
    aids = aids or Aids()
    checked = _check(_parse(raw, contract, aids), contract, aids)
    verdict = F.when(_refused(), QUARANTINED)
    if contract.event_time:
        inside = (F.col(contract.event_time) >= F.lit(start)) & (F.col(contract.event_time) < F.lit(end))
        verdict = verdict.when(~inside, FILTERED)
    return checked.withColumn(VERDICT, verdict.otherwise(CLEAN))


def shared_keys(raw: DataFrame, contract: Table, aids: Aids) -> DataFrame:
    """Hashes of the keys that more than one landed row has, whatever else these rows are; one column, `_key`."""
    columns = [contract.column(name) for name in contract.key]
    values = [value_of(received_text(column, contract, extras=aids.extras), column) for column in columns]
    counted = raw.select(F.xxhash64(*values).alias(KEY)).groupBy(KEY).agg(F.count("*").alias("rows"))
    return counted.where(F.col("rows") > 1).select(KEY)


def as_judged(clean: DataFrame, contract: Table) -> DataFrame:
    """Rows that were judged clean before, as `judge` gives them; columns of the contract that they lack are null."""
    columns = {c.name: F.col(c.name) if c.name in clean.columns else F.lit(None).cast(c.type) for c in contract.columns}
    return clean.select(
        *(column.alias(name) for name, column in columns.items()),
        F.array().cast(FINDINGS).alias(FOUND),
        F.lit(None).cast("string").alias(RAW),
        F.lit(False).alias(UNPARSED),
        _tie(contract).alias(TIE),
        F.lit(None).cast("string").alias("source_file"),
        F.lit(None).cast("bigint").alias("source_block"),
        F.lit(None).cast("bigint").alias("source_row"),
        F.lit(CLEAN).alias(VERDICT),
    )


def split_judged(judged: DataFrame, contract: Table, aids: Aids | None = None) -> Judged:
    """Cut a judged frame into clean rows, personal values hashed or left out, and refused ones with their reasons."""
    aids = aids or Aids()
    kept = judged.where(F.col(VERDICT) == CLEAN).withColumns(fenced(contract, aids.fences))
    flags = [F.col(name) for name in fenced(contract, aids.fences) if name not in contract.column_names]
    clean = with_key(kept, aids.key).select(*kept_columns(contract), *flags)
    refusing = F.filter(FOUND, lambda found: found.severity == "quarantine")
    quarantined = judged.where(F.col(VERDICT) == QUARANTINED).select(
        F.transform(refusing, lambda found: found.message).alias("reasons"),
        *PLACE,
        F.col(RAW).alias("raw"),
        F.col(UNPARSED).alias("unparsed"),
    )
    return Judged(clean, quarantined)


def count_verdicts(judged: DataFrame, contract: Table) -> DataFrame:
    """One row: how many rows got each verdict, a bigint column for each, one reason of a quarantined row as `example`, and
    the clean rows' newest event time as `newest`.
    """
    counts = [F.count_if(F.col(VERDICT) == verdict).alias(verdict) for verdict in VERDICTS]
    example = F.min(F.when(F.col(VERDICT) == QUARANTINED, F.get(FOUND, F.lit(0)).message)).alias("example")
    newest = F.col(contract.event_time) if contract.event_time else F.lit(None).cast("timestamp")
    return judged.agg(*counts, example, F.max(F.when(F.col(VERDICT) == CLEAN, newest)).alias("newest"))


def count_broken(judged: DataFrame) -> DataFrame:
    """How many rows broke each promise: `name`, `severity`, `rows`, and one `message`. Filtered rows are not counted."""
    rows = judged.where((F.size(FOUND) > 0) & (F.col(VERDICT) != FILTERED))
    found = rows.select(F.explode(FOUND).alias("found")).select("found.*")
    return found.groupBy("name", "severity").agg(F.count("*").alias("rows"), F.min("message").alias("message"))


def event_time(contract: Table) -> Column:
    """The event time of a landed row, null where it can't be read or the contract has none."""
    if contract.event_time is None:
        return F.lit(None).cast("timestamp")
    column = contract.column(contract.event_time)
    return F.when(F.col("broken_line").isNull(), value_of(received_text(column, contract), column))


def _parse(raw: DataFrame, contract: Table, aids: Aids) -> DataFrame:
    texts = {c.name: received_text(c, contract, extras=aids.extras) for c in contract.columns}
    values = {c.name: value_of(texts[c.name], c) for c in contract.columns}
    parsed = with_key(raw, aids.key).select(
        *(value.alias(name) for name, value in values.items()),
        F.struct(*(text.alias(name) for name, text in texts.items())).alias(TEXTS),
        F.struct(*_received(contract)).alias(RECEIVED),
        "broken_line",
        "broken_why",
        *PLACE,
    )
    for reference in contract.references:
        parsed = _join_known(parsed, reference, aids)
    return parsed


def _received(contract: Table) -> list[Column]:
    kept = [column for column in contract.columns if column.personal != "drop"]
    return [hashed(F.col(c.name)).alias(c.name) if c.personal else F.col(f"`{c.name}`") for c in kept]


def _join_known(parsed: DataFrame, reference: Reference, aids: Aids) -> DataFrame:
    names = [f"_to_{name}" for name in reference.to]
    targets = (
        aids.known[reference.source]
        .select(*(F.col(to).alias(name) for to, name in zip(reference.to, names, strict=True)))
        .distinct()
    )
    pairs = zip(reference.columns, names, strict=True)
    matches = [F.col(column) == F.col(name) for column, name in pairs]
    marked = targets.withColumn(_marker(reference), F.lit(True))
    # Spark does not know the size of what is not yet computed, and would sort both sides.
    joined = parsed.join(marked if reference.source in aids.large else F.broadcast(marked), matches, "left")
    return joined.drop(*names)


def _marker(reference: Reference) -> str:
    return f"_known {reference.name}"


def _check(parsed: DataFrame, contract: Table, aids: Aids) -> DataFrame:
    markers = {r.name: F.col(f"`{_marker(r)}`").isNotNull() for r in contract.references}
    checks = all_checks(contract, aids.fences, markers)
    # One look says that a row keeps every promise; only for the few that do not is anything else worked out.
    broken = reduce(or_, (check.broken for check in checks))
    line = _finding("line", F.lit("quarantine"), F.col("broken_why"))
    found = (
        F.when(F.col("broken_line").isNotNull(), F.array(line))
        .when(broken, F.array_compact(F.array(*(_found(check) for check in checks))))
        .otherwise(F.array().cast(FINDINGS))
    )
    refused = _refused() | F.lit(bool(contract.unique))  # uniqueness may refuse any row, later
    judged = parsed.select(*contract.column_names, found.alias(FOUND), RECEIVED, "broken_line", *PLACE)
    kept_line = F.lit(WITHHELD) if any(c.personal for c in contract.columns) else F.col("broken_line")
    as_received = F.when(F.col("broken_line").isNotNull(), kept_line).otherwise(F.to_json(RECEIVED))
    return judged.select(
        *contract.column_names,
        FOUND,
        # Only what is refused is kept as text: for all rows it would be most of what the deduplication moves.
        F.when(refused, as_received).alias(RAW),
        F.col("broken_line").isNotNull().alias(UNPARSED),
        _tie(contract).alias(TIE),
        *(F.when(refused, F.col(name)).alias(name) for name in PLACE),
    )


def _tie(contract: Table) -> Column:
    return F.xxhash64(*(f"`{column.name}`" for column in contract.columns if not column.personal))


def _found(check: Check) -> Column:
    return F.when(check.broken, _finding(check.name, F.lit(check.severity), check.message))


def _finding(name: str, severity: Column, message: Column) -> Column:
    return F.struct(F.lit(name).alias("name"), severity.alias("severity"), message.alias("message"))


def _refused() -> Column:
    return F.exists(FOUND, lambda found: found.severity == "quarantine")
