"""Two ways to validate a source's landed rows and stage the clean ones: in one pass, which keeps all rows in memory, or in two.

Both give the same tables. Two passes pay where rows are many: the first writes most of them, and keeps none.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from pipelines.cleaning.accounting import Account
from pipelines.cleaning.duplicates import CLEAN, DUPLICATE, FILTERED, QUARANTINED, REPEATED, VERDICT
from pipelines.cleaning.expectations import BrokenRule
from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.rows import BROKEN, clean_rows, count_broken, shared_keys, validate_rows, verdicts
from pipelines.cleaning.two_pass import ROW_BUCKET, FirstPassResult, TwoPassValidator
from pipelines.io.audit import Audit
from pipelines.runtime.context import Context
from schemas import tables
from schemas.contract import Table

SHARED_KEYS = 1_000_000  # of so many hashes each task can hold a copy
SMALL_ROWS = 200_000  # with fewer, looking for shared keys first costs more than it saves
SMALL_VALUES = 4_000_000  # of so many, one task validates all rows faster than several that have to move them


@dataclass(frozen=True)
class SourceTable:
    """A source's landed rows in the interval and their number, its contract, and what validation takes beside them."""

    contract: Table
    raw: DataFrame
    rows: int
    inputs: CleaningInputs


class CleanedSource(NamedTuple):
    """What became of a source's rows: the account, the rules that rows break, the newest event time of clean rows, and the
    validated rows, among which are all that were refused.
    """

    account: Account
    broken: list[BrokenRule]
    newest: datetime | None
    validated: DataFrame


class Validation(Protocol):
    """A way to validate a source."""

    @property
    def source(self) -> SourceTable:
        """The source whose rows are validated."""

    def write(self, context: Context, audit: Audit) -> CleanedSource:
        """Validate the rows, and write the clean ones to the audit's branch."""


@dataclass(frozen=True)
class OnePass:
    """All rows are validated at once, and kept in memory for whoever reads them next: a source that refers to them, the
    quarantine, the count of broken rules.
    """

    source: SourceTable
    validated: DataFrame

    @classmethod
    def of(cls, context: Context, source: SourceTable, frames: ExitStack) -> OnePass:
        """Validation of a source, whose rows are computed when they are first read; `frames` forgets them."""
        # In one part few values are validated without being moved: tasks for many parts would take longer than their rows.
        small = source.rows * len(source.contract.columns) <= SMALL_VALUES
        raw = source.raw.coalesce(1) if small else source.raw
        return cls(source, _cached(validate_rows(raw, source.contract, *context.bounds, source.inputs), frames))

    @property
    def clean(self) -> DataFrame:
        """The clean rows, to which other sources refer."""
        return self.validated.where(F.col(VERDICT) == CLEAN)

    def write(self, context: Context, audit: Audit) -> CleanedSource:
        """Validate the rows, and write the clean ones to the audit's branch."""
        rows, counts = _clean_and_counts(context, self.source, self.validated)
        written = audit.write(tables.clean(self.source.contract), rows, context.replaced)
        return _staged(self.source, self.validated, written, counts.get)


@dataclass(frozen=True)
class TwoPasses:
    """The first pass writes the rows that are clean whatever the others are; the second validates the few that are left.

    `keys` are those that several rows share. `frames` forgets the rows of the second pass.
    """

    source: SourceTable
    keys: DataFrame
    frames: ExitStack

    def write(self, context: Context, audit: Audit) -> CleanedSource:
        """Validate the rows, and write the clean ones to the audit's branch."""
        source = self.source
        validator = TwoPassValidator(source.contract, *context.bounds, source.inputs, self.keys)
        first, written = _write_first_pass(context, audit, source, validator)
        buckets = context.spark.createDataFrame(pa.table({ROW_BUCKET: pa.array(first.row_buckets, pa.int32())}))
        candidates = _cached(validator.second_pass(source.raw, buckets), self.frames)
        if not first.row_buckets:
            return _staged(source, candidates, written, {}, first)
        rows, counts = _clean_and_counts(context, source, candidates)
        added = audit.add(tables.clean(source.contract), rows)
        return _staged(source, candidates, written + added, counts.get, first)


def find_shared_keys(source: SourceTable) -> DataFrame | None:
    """The keys that several rows of a large source share; None when looking for them is not worth it, or they are many."""
    if not source.contract.key or source.contract.unique or source.rows <= SMALL_ROWS:
        return None
    keys = shared_keys(source.raw, source.contract, source.inputs).limit(SHARED_KEYS + 1).localCheckpoint()
    return keys if keys.count() <= SHARED_KEYS else None


def _cached(frame: DataFrame, frames: ExitStack) -> DataFrame:
    frames.callback(frame.unpersist)
    return frame.persist()


def _clean_and_counts(context: Context, source: SourceTable, validated: DataFrame) -> tuple[DataFrame, Observation]:
    """The clean rows as their table has them, and what `verdicts` counts once these are written."""
    counts = Observation()
    rows = clean_rows(validated.observe(counts, *verdicts(source.contract)), source.contract, source.inputs)
    return context.stamped(rows), counts


def _write_first_pass(
    context: Context, audit: Audit, source: SourceTable, validator: TwoPassValidator
) -> tuple[FirstPassResult, int]:
    """Write the rows that are clean after the first pass; what it counted, and how many rows it wrote."""
    counts = Observation()
    passed = validator.first_pass(source.raw).observe(counts, *validator.first_pass_counts())
    rows = context.stamped(clean_rows(passed, source.contract, source.inputs))
    written = audit.write(tables.clean(source.contract), rows, context.replaced)
    return validator.first_pass_result(counts.get), written


def _staged(
    source: SourceTable,
    validated: DataFrame,
    written: int,
    counts: Mapping[str, Any],
    first: FirstPassResult | None = None,
) -> CleanedSource:
    """The account of a source from the counts of its validated rows, and of the first pass where there was one."""
    first = first or FirstPassResult()
    account = Account(
        "clean",
        source.contract.name,
        source.rows,
        written,
        counts.get(QUARANTINED, 0),
        counts.get(DUPLICATE, 0) + counts.get(REPEATED, 0),
        counts.get(FILTERED, 0) + first.filtered,
        repeated=counts.get(REPEATED, 0),
        example=counts.get("example") or "",
    )
    newest = max((time.astimezone() for time in (counts.get("newest"), first.newest) if time), default=None)
    broken = _broken_rules(validated, source.contract.name) if counts.get(BROKEN) else []
    return CleanedSource(account, [*first.broken, *broken], newest, validated)


def _broken_rules(validated: DataFrame, source: str) -> list[BrokenRule]:
    return [BrokenRule(source, row["name"], row.severity, row.rows, row.message) for row in count_broken(validated).collect()]
