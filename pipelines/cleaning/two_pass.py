"""Validation in two passes. Most landed rows break no rule that refuses them and share their key with no other row. The first
pass calls these clean or filtered, writes them, and keeps none of them in memory. The other rows, the candidates, are few. The
second pass validates them whole.

The second pass selects the candidates by their row buckets. A row bucket is the hash of a row's position, cut to ROW_BUCKETS
values, so the buckets take a bounded space however many candidates there are. A bucket may hold other rows too, which the
second pass drops again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.cleaning.checking import Check
from pipelines.cleaning.duplicates import CLEAN, FILTERED, QUARANTINED, SHARED, VERDICT, mark_duplicates, with_shared
from pipelines.cleaning.expectations import BrokenRule
from pipelines.cleaning.inputs import CleaningInputs, carried_columns
from pipelines.cleaning.parsed_rows import POSITION, REFUSED, parse_rows
from pipelines.cleaning.rows import check_rows, checks_of, outside_interval
from pipelines.expressions import col, cols
from schemas.contract import Table
from schemas.names import internal

ROW_BUCKETS = 2**20
ROW_BUCKET, CANDIDATE = internal("spot"), "suspect"


class FirstPassResult(NamedTuple):
    """What the first pass counted: filtered rows, the newest event time of clean rows, the rules that clean rows break (none of
    which refuses a row), and the candidates' row buckets.
    """

    filtered: int = 0
    newest: datetime | None = None
    broken: Sequence[BrokenRule] = ()
    row_buckets: Sequence[int] = ()


@dataclass(frozen=True)
class TwoPassValidator:
    """Both passes over a source's landed rows, by its contract, the interval's start and end, the cleaning inputs, and the keys
    that several of these rows share (`cleaning.shared_keys`).
    """

    contract: Table
    start: datetime
    end: datetime
    inputs: CleaningInputs
    keys: DataFrame

    @cached_property
    def _checks(self) -> list[Check]:
        return checks_of(self.contract, self.inputs)

    @cached_property
    def _tolerant_checks(self) -> dict[str, Check]:
        """The checks that refuse no row, by the name of the column that marks the clean rows which break them."""
        return {internal(f"said_{n}"): check for n, check in enumerate(self._checks) if check.severity != "quarantine"}

    def first_pass(self, raw: DataFrame) -> DataFrame:
        """Parse each landed row and give it a verdict: clean, filtered or suspect.

        A row is suspect, a candidate, when a check refuses it or it shares its key. `second_pass` decides about candidates.
        """
        parsed = with_shared(parse_rows(raw, self.contract, self.inputs, self._checks), self.contract, self.keys)
        is_outside = outside_interval(self.contract, self.start, self.end)
        verdict = F.when(F.col(REFUSED) | F.col(SHARED), CANDIDATE).when(is_outside, FILTERED).otherwise(CLEAN)
        return parsed.withColumn(VERDICT, verdict).select(
            *cols(self.contract.column_names),
            *carried_columns(self.contract, self.inputs),
            VERDICT,
            F.when(F.col(VERDICT) == CANDIDATE, _row_bucket()).alias(ROW_BUCKET),
            *(
                F.when((F.col(VERDICT) == CLEAN) & F.expr(check.broken), check.message).alias(n)
                for n, check in self._tolerant_checks.items()
            ),
        )

    def first_pass_counts(self) -> list[Column]:
        """Aggregates over the rows of `first_pass`, which `first_pass_result` reads."""
        time = self.contract.event_time
        newest = F.max(F.when(F.col(VERDICT) == CLEAN, col(time))) if time else F.lit(None).cast("timestamp")
        return [
            F.count_if(F.col(VERDICT) == FILTERED).alias("filtered"),
            F.unix_micros(newest).alias("newest"),
            F.collect_set(ROW_BUCKET).alias("spots"),
            *(F.count(name).alias(f"rows{name}") for name in self._tolerant_checks),
            *(F.min(name).alias(f"example{name}") for name in self._tolerant_checks),
        ]

    def first_pass_result(self, counts: Mapping[str, Any]) -> FirstPassResult:
        """The result of the first pass, from the values of `first_pass_counts` by name."""
        newest = None if counts["newest"] is None else datetime.fromtimestamp(counts["newest"] / 1e6, UTC)
        broken = [
            BrokenRule(self.contract.name, check.name, check.severity, counts[f"rows{name}"], counts[f"example{name}"])
            for name, check in self._tolerant_checks.items()
            if counts[f"rows{name}"]
        ]
        return FirstPassResult(counts["filtered"], newest, broken, counts["spots"])

    def second_pass(self, raw: DataFrame, row_buckets: DataFrame) -> DataFrame:
        """Validate the candidates, which are in these row buckets (one column, `ROW_BUCKET`), as `validate_rows` does."""
        candidates = (
            raw.withColumn(ROW_BUCKET, _row_bucket()).join(F.broadcast(row_buckets), ROW_BUCKET, "left_semi").drop(ROW_BUCKET)
        )
        # Candidates are spread thin over the tasks that read all rows, each of which would compile the whole validation.
        checked = check_rows(candidates.hint("rebalance"), self.contract, self.start, self.end, self.inputs, self._checks)
        marked = with_shared(checked, self.contract, self.keys)
        return mark_duplicates(marked.where((F.col(VERDICT) == QUARANTINED) | F.col(SHARED)).drop(SHARED), self.contract)


def _row_bucket() -> Column:
    return F.pmod(F.xxhash64(*POSITION), F.lit(ROW_BUCKETS)).cast("int")
