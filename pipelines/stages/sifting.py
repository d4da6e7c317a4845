"""Most landed rows keep every promise that could refuse them and share their key with no other: these are clean, or filtered,
at one look, which writes them and keeps none of them in memory. The few suspects are judged whole, in a second look.

The second look finds the suspects by their spots. A spot is the hash of a row's place, cut to SPOTS values: so they take a
bounded space however many rows are suspect. Other rows may be of the same spot, and are left out again when they are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipelines.expressions import col, cols
from pipelines.stages.checking import Check
from pipelines.stages.cleaning import PLACE, REFUSED, Aids, carried, check_rows, checks_of, outside, parse_rows
from pipelines.stages.duplicates import CLEAN, FILTERED, QUARANTINED, SHARED, VERDICT, mark_duplicates, with_shared
from pipelines.stages.expectations import Broken
from schemas.contract import Table
from schemas.names import internal

SPOTS = 2**20
SPOT, SUSPECT = internal("spot"), "suspect"


class Tally(NamedTuple):
    """What the first look saw: how many rows it filtered, the clean rows' newest event time, the promises that clean rows
    break (such as refuse no row), and the suspects' spots.
    """

    filtered: int = 0
    newest: datetime | None = None
    broken: Sequence[Broken] = ()
    spots: Sequence[int] = ()


@dataclass(frozen=True)
class Sieve:
    """What sorts a source's landed rows: its contract, the interval's start and end, what judging takes, and the keys that
    several of these rows share (`cleaning.shared_keys`).
    """

    contract: Table
    start: datetime
    end: datetime
    aids: Aids
    keys: DataFrame

    @cached_property
    def _checks(self) -> list[Check]:
        return checks_of(self.contract, self.aids)

    @cached_property
    def _mild(self) -> dict[str, Check]:
        """The checks that refuse no row, by the name of the column that tells which clean rows break them."""
        return {internal(f"said_{n}"): check for n, check in enumerate(self._checks) if check.severity != "quarantine"}

    def sift(self, raw: DataFrame) -> DataFrame:
        """Look at each landed row once: its values and a verdict, which is clean, filtered or suspect.

        A row is suspect when a check refuses it or it shares its key; `judge_suspects` has the last word on it.
        """
        parsed = with_shared(parse_rows(raw, self.contract, self.aids, self._checks), self.contract, self.keys)
        is_outside = outside(self.contract, self.start, self.end)
        verdict = F.when(F.col(REFUSED) | F.col(SHARED), SUSPECT).when(is_outside, FILTERED).otherwise(CLEAN)
        return parsed.withColumn(VERDICT, verdict).select(
            *cols(self.contract.column_names),
            *carried(self.contract, self.aids),
            VERDICT,
            F.when(F.col(VERDICT) == SUSPECT, _spot()).alias(SPOT),
            *(
                F.when((F.col(VERDICT) == CLEAN) & F.expr(check.broken), check.message).alias(n)
                for n, check in self._mild.items()
            ),
        )

    def tallies(self) -> list[Column]:
        """Aggregates of what `sift` gives, from which `tally` reads."""
        time = self.contract.event_time
        newest = F.max(F.when(F.col(VERDICT) == CLEAN, col(time))) if time else F.lit(None).cast("timestamp")
        return [
            F.count_if(F.col(VERDICT) == FILTERED).alias("filtered"),
            F.unix_micros(newest).alias("newest"),
            F.collect_set(SPOT).alias("spots"),
            *(F.count(name).alias(f"rows{name}") for name in self._mild),
            *(F.min(name).alias(f"example{name}") for name in self._mild),
        ]

    def tally(self, found: Mapping[str, Any]) -> Tally:
        """The values of `tallies`, by name, as a tally."""
        newest = None if found["newest"] is None else datetime.fromtimestamp(found["newest"] / 1e6, UTC)
        broken = [
            Broken(self.contract.name, check.name, check.severity, found[f"rows{name}"], found[f"example{name}"])
            for name, check in self._mild.items()
            if found[f"rows{name}"]
        ]
        return Tally(found["filtered"], newest, broken, found["spots"])

    def judge_suspects(self, raw: DataFrame, spots: DataFrame) -> DataFrame:
        """Judge the suspects of `sift`, those of these spots (one column, `SPOT`), as `cleaning.judge` does among all."""
        few = raw.withColumn(SPOT, _spot()).join(F.broadcast(spots), SPOT, "left_semi").drop(SPOT)
        # The few are spread thin over the tasks that read all rows, each of which would have to compile all that judges them.
        checked = check_rows(few.hint("rebalance"), self.contract, self.start, self.end, self.aids, self._checks)
        marked = with_shared(checked, self.contract, self.keys)
        return mark_duplicates(marked.where((F.col(VERDICT) == QUARANTINED) | F.col(SHARED)).drop(SHARED), self.contract)


def _spot() -> Column:
    return F.pmod(F.xxhash64(*PLACE), F.lit(SPOTS)).cast("int")
