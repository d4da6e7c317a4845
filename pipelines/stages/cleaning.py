"""Raw text to clean rows: parse, check, place in the interval, deduplicate. Every row gets one verdict, none is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.expressions import any_sql, col, cols, quoted
from pipelines.stages.checking import Check, Fences, all_checks, findings, known_name, refusing_sql, rule_name, text_name
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
from schemas.contract import LANDING_ORDER, Reference, Table
from schemas.names import internal

VERDICTS = (CLEAN, QUARANTINED, REPEATED, DUPLICATE, FILTERED)
BROKEN = "broken"
RECEIVED, RAW, UNPARSED, REFUSED = map(internal, ("received", "raw", "unparsed", "refused"))
PLACE = ("source_file", "source_block", "source_row")
FINDINGS = "array<struct<name:string,severity:string,message:string>>"
Bound: TypeAlias = datetime | Column
WITHHELD = "withheld, since this source has personal columns: the raw table holds it"


class Judged(NamedTuple):
    """A judged frame cut in the parts that are kept; the rows of both, duplicates and filtered are the whole."""

    clean: DataFrame
    quarantined: DataFrame


class Aids(NamedTuple):
    """What judging a row takes beside the row: rows that references point to, by source; fitted fences; the hash key as a
    frame; whether the contract's columns may be among the source's extra fields; referenced sources that are too large
    for every task to hold; and the columns of raw and known rows by which rows of several intervals lie apart.
    """

    known: Mapping[str, DataFrame] = MappingProxyType({})
    fences: Fences = MappingProxyType({})
    key: DataFrame | None = None
    extras: bool = False
    large: Collection[str] = ()
    apart: tuple[str, ...] = ()


def judge(raw: DataFrame, contract: Table, start: Bound, end: Bound, aids: Aids | None = None) -> DataFrame:
    """Parse and judge each landed row of a source; the interval's bounds may be columns of `aids.apart`.

    Adds to the contract's columns, parsed, every promise that the row breaks (`FOUND`); where one of them refuses it, the
    row as received (JSON, or the broken line); and the row's verdict: quarantined when it is refused; filtered when its event
    time is outside [start, end); when another row of its key wins, repeated if both are the same in every column, else
    duplicate; clean otherwise.
    """
    aids = aids or Aids()
    return mark_duplicates(check_rows(raw, contract, start, end, aids, checks_of(contract, aids)), contract, aids.apart)


def check_rows(raw: DataFrame, contract: Table, start: Bound, end: Bound, aids: Aids, checks: Sequence[Check]) -> DataFrame:
    """Parse and judge each landed row by itself, by these checks: all that `judge` does but for telling duplicates."""
    verdict = F.when(F.col(REFUSED), QUARANTINED).when(outside(contract, start, end), FILTERED).otherwise(CLEAN)
    found = _find(parse_rows(raw, contract, aids, checks), contract, checks, carried(contract, aids))
    return found.withColumn(VERDICT, verdict).drop(REFUSED)


def carried(contract: Table, aids: Aids) -> tuple[str, ...]:
    """The columns of raw rows that stay beside a row's values: by which it lies apart, and in which order it landed."""
    return (*aids.apart, *((LANDING_ORDER,) if contract.in_landing_order else ()))


def outside(contract: Table, start: Bound, end: Bound) -> Column:
    """Whether a row's event time is known and not in [start, end)."""
    if contract.event_time is None:
        return F.lit(False)
    return ~((col(contract.event_time) >= F.lit(start)) & (col(contract.event_time) < F.lit(end)))


def shared_keys(raw: DataFrame, contract: Table, aids: Aids) -> DataFrame:
    """Hashes of the keys that more than one landed row has, whatever else these rows are; one column, `KEY`."""
    columns = [contract.column(name) for name in contract.key]
    values = [value_of(received_text(column, contract, extras=aids.extras), column) for column in columns]
    counted = raw.select(F.xxhash64(*values).alias(KEY)).groupBy(KEY).agg(F.count("*").alias("rows"))
    return counted.where(F.col("rows") > 1).select(KEY)


def as_judged(clean: DataFrame, contract: Table) -> DataFrame:
    """Rows that were judged clean before, as `judge` gives them; columns of the contract that they lack are null."""
    there = set(clean.columns)
    columns = {c.name: col(c.name) if c.name in there else F.lit(None).cast(c.type) for c in contract.columns}
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
        *([_landing_order(there).alias(LANDING_ORDER)] if contract.in_landing_order else []),
    )


def _landing_order(there: Collection[str]) -> Column:
    return F.col(LANDING_ORDER) if LANDING_ORDER in there else F.lit(None).cast("string")


def split_judged(judged: DataFrame, contract: Table, aids: Aids | None = None) -> Judged:
    """Cut a judged frame into clean rows, personal values hashed or left out, and refused ones with their reasons."""
    aids = aids or Aids()
    refusing = F.filter(FOUND, lambda found: found.severity == "quarantine")
    quarantined = judged.where(F.col(VERDICT) == QUARANTINED).select(
        *aids.apart,
        _landing_order(judged.columns).alias(LANDING_ORDER),
        F.transform(refusing, lambda found: found.message).alias("reasons"),
        *PLACE,
        F.col(RAW).alias("raw"),
        F.col(UNPARSED).alias("unparsed"),
    )
    return Judged(clean_rows(judged, contract, aids), quarantined)


def clean_rows(judged: DataFrame, contract: Table, aids: Aids) -> DataFrame:
    """The clean rows of a judged frame as they are kept: outliers clipped or flagged, personal values hashed or left out."""
    changed = fenced(contract, aids.fences)
    kept = with_key(judged.where(F.col(VERDICT) == CLEAN).withColumns(changed), aids.key)
    added = [name for name in changed if name not in contract.column_names]
    return kept.select(*carried(contract, aids), *kept_columns(contract), *cols(added))


def verdicts(contract: Table) -> list[Column]:
    """Aggregates over judged rows: how many rows got each verdict, a bigint column for each; one reason of a quarantined row
    as `example`; the clean rows' newest event time as `newest`; and how many rows break a promise (`broken`).
    """
    counts = [F.count_if(F.col(VERDICT) == verdict).alias(verdict) for verdict in VERDICTS]
    example = F.min(F.when(F.col(VERDICT) == QUARANTINED, F.get(FOUND, F.lit(0)).message)).alias("example")
    newest = col(contract.event_time) if contract.event_time else F.lit(None).cast("timestamp")
    broken = F.count_if(_breaks_a_promise()).alias(BROKEN)
    return [*counts, example, F.max(F.when(F.col(VERDICT) == CLEAN, newest)).alias("newest"), broken]


def count_broken(judged: DataFrame, apart: Sequence[str] = ()) -> DataFrame:
    """How many rows broke each promise: `name`, `severity`, `rows`, and one `message`. Filtered rows are not counted.

    Rows that differ in a column of `apart` are counted apart, and their counts have that column.
    """
    found = judged.where(_breaks_a_promise()).select(*apart, F.explode(FOUND).alias("found")).select(*apart, "found.*")
    return found.groupBy(*apart, "name", "severity").agg(F.count("*").alias("rows"), F.min("message").alias("message"))


def _breaks_a_promise() -> Column:
    return (F.size(FOUND) > 0) & (F.col(VERDICT) != FILTERED)


def event_time(contract: Table) -> Column:
    """The event time of a landed row, null where it can't be read or the contract has none."""
    if contract.event_time is None:
        return F.lit(None).cast("timestamp")
    column = contract.column(contract.event_time)
    return F.when(F.col("broken_line").isNull(), value_of(received_text(column, contract), column))


def checks_of(contract: Table, aids: Aids) -> list[Check]:
    """The contract's promises about one row, as checks of what `parse_rows` gives."""
    return all_checks(contract, aids.fences)


def parse_rows(raw: DataFrame, contract: Table, aids: Aids, checks: Sequence[Check]) -> DataFrame:
    """Each landed row's values, the texts that they were read from, and whether a check refuses the row (`REFUSED`)."""
    # Texts are a projection of their own: Spark would work them out anew wherever one is used.
    beside = [
        F.struct(*_received(contract)).alias(RECEIVED),
        *cols(("broken_line", "broken_why", *PLACE, *carried(contract, aids))),
    ]
    texts = [received_text(c, contract, extras=aids.extras).alias(text_name(c)) for c in contract.columns]
    read = with_key(raw, aids.key).select(*texts, *beside)
    values = [value_of(col(text_name(c)), c).alias(c.name) for c in contract.columns]
    parsed = read.select("*", *values)
    if contract.rules:
        parsed = parsed.select("*", *(F.expr(rule.holds).alias(rule_name(at)) for at, rule in enumerate(contract.rules)))
    for at, reference in enumerate(contract.references):
        parsed = _join_known(parsed, reference, known_name(at), aids)
    # Asked of the checks, not of what is found: Spark interprets functions of arrays, and all that is put into them.
    refusing = F.expr(refusing_sql(checks))
    return parsed.withColumn(REFUSED, F.col("broken_line").isNotNull() | F.coalesce(refusing, F.lit(False)))


def _received(contract: Table) -> list[Column]:
    kept = [column for column in contract.columns if column.personal != "drop"]
    return [hashed(col(c.name)).alias(c.name) if c.personal else col(c.name) for c in kept]


def _join_known(parsed: DataFrame, reference: Reference, marker: str, aids: Aids) -> DataFrame:
    names = [internal(f"to {name}") for name in (*reference.to, *aids.apart)]
    targets = (
        aids.known[reference.source]
        .select(*(col(to).alias(name) for to, name in zip((*reference.to, *aids.apart), names, strict=True)))
        .distinct()
    )
    pairs = zip((*reference.columns, *aids.apart), names, strict=True)
    matches = [col(column) == col(name) for column, name in pairs]
    marked = targets.withColumn(marker, F.lit(True))
    # Spark does not know the size of what is not yet computed, and would sort both sides.
    joined = parsed.join(marked if reference.source in aids.large else F.broadcast(marked), matches, "left")
    return joined.drop(*names)


def _find(parsed: DataFrame, contract: Table, checks: Sequence[Check], beside: Sequence[str]) -> DataFrame:
    # One look says that a row keeps every promise; only for the few that do not is anything else worked out.
    broken = F.expr(any_sql([quoted(REFUSED), *(check.broken for check in checks if check.severity != "quarantine")]))
    line = F.struct(F.lit("line").alias("name"), F.lit("quarantine").alias("severity"), F.col("broken_why").alias("message"))
    found = (
        F.when(F.col("broken_line").isNotNull(), F.array(line))
        .when(broken, findings(checks))
        .otherwise(F.array().cast(FINDINGS))
    )
    whole = (RECEIVED, "broken_line", *PLACE, *beside)
    judged = parsed.select(*cols(contract.column_names), found.alias(FOUND), REFUSED, *whole)
    refused = F.col(REFUSED) | F.lit(bool(contract.unique))  # uniqueness may refuse any row, later
    kept_line = F.lit(WITHHELD) if any(c.personal for c in contract.columns) else F.col("broken_line")
    as_received = F.when(F.col("broken_line").isNotNull(), kept_line).otherwise(F.to_json(RECEIVED))
    return judged.select(
        *cols(contract.column_names),
        FOUND,
        REFUSED,
        # Only what is refused is kept as text: for all rows it would be most of what the deduplication moves.
        F.when(refused, as_received).alias(RAW),
        F.col("broken_line").isNotNull().alias(UNPARSED),
        _tie(contract).alias(TIE),
        *(F.when(refused, F.col(name)).alias(name) for name in PLACE),
        *beside,
    )


def _tie(contract: Table) -> Column:
    return F.xxhash64(*cols(column.name for column in contract.columns if not column.personal))
