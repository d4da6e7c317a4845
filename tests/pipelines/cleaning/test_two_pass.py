"""The first pass decides most rows, the second the few others. Together they give the verdicts of one pass over all rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from pipelines.cleaning import two_pass
from pipelines.cleaning.expectations import BrokenRule, merge_broken
from pipelines.cleaning.inputs import CleaningInputs
from pipelines.cleaning.outliers import fit_fences
from pipelines.cleaning.rows import clean_rows, count_broken, shared_keys, split_validated, validate_rows, verdicts
from pipelines.cleaning.two_pass import ROW_BUCKET, FirstPassResult, TwoPassValidator
from schemas.contract import Column, Outliers, Reference, Rule, Table
from tests.pipelines.cleaning.landed import landed

START, END = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC)
VISITS = Table(
    "visits",
    (
        Column("id", "int", nullable=False),
        Column("at", "timestamp", nullable=False),
        Column("share", "double", minimum=0, maximum=1, outliers=Outliers("flag", low=0.25, high=0.75)),
        Column("kind", "string", allowed=("a", "b"), severity="warn"),
    ),
    key=("id",),
    latest_by=("at",),
    event_time="at",
    rules=(Rule("a b has a share", "kind <> 'b' or share is not null"), Rule("an a has none", "kind <> 'a'", "warn")),
    references=(Reference(("kind",), "kinds", ("kind",), "warn"),),
)
IDS, TIMES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "x", ""), ("2013-01-10", "2013-01-11", "2012-12-31", "then")
SHARES, KINDS = ("0.1", "0.5", "0.9", "", "7", "NaN"), ("a", "b", "c", "")


def mixed(spark: SparkSession, seed: int, count: int) -> DataFrame:
    """Rows of which many are wrong, or share their key with others."""
    random = Random(seed)
    rows: list[Any] = [tuple(map(random.choice, (IDS, TIMES, SHARES, KINDS))) for _ in range(count)]
    rows += [(str(number), "2013-01-20", "0.5", random.choice("ab")) for number in range(10, 10 + count)]
    rows += ["no row", *rows[:3]]
    random.shuffle(rows)
    return landed(spark, VISITS, *rows).localCheckpoint()


def two_passes(raw: DataFrame, inputs: CleaningInputs) -> tuple[list[str], dict[str, Any], list[BrokenRule], list[str]]:
    """Clean rows, counts, broken promises and refused rows, by both passes."""
    validator = TwoPassValidator(VISITS, START, END, inputs, shared_keys(raw, VISITS, inputs))
    observation = Observation()
    first = validator.first_pass(raw).observe(observation, *validator.first_pass_counts())
    clean = texts(clean_rows(first, VISITS, inputs))
    result = validator.first_pass_result(observation.get)
    row_buckets = raw.sparkSession.createDataFrame(pd.DataFrame({ROW_BUCKET: pd.Series(result.row_buckets, dtype="int32")}))
    validated = validator.second_pass(raw, row_buckets)
    second_clean, counts, broken, refused = outcome(validated, inputs)
    counts |= {"clean": counts["clean"] + len(clean), "filtered": counts["filtered"] + result.filtered}
    return sorted(clean + second_clean), counts, sorted(merge_broken([*result.broken, *broken])), refused


def outcome(validated: DataFrame, inputs: CleaningInputs) -> tuple[list[str], dict[str, Any], list[BrokenRule], list[str]]:
    """The same of rows that were validated in one pass."""
    clean, refused = map(texts, split_validated(validated, VISITS, inputs))
    counts = validated.agg(*verdicts(VISITS)).drop("example", "newest", "broken").collect()[0].asDict()
    broken = [BrokenRule("visits", r["name"], r.severity, r.rows, r.message) for r in count_broken(validated).collect()]
    return clean, counts, sorted(broken), refused


def texts(rows: DataFrame) -> list[str]:
    """Rows as text, sorted."""
    return sorted(map(str, rows.collect()))


@pytest.mark.slow
@pytest.mark.parametrize("row_buckets", [1, 7, 2**20])
def test_two_passes_give_the_verdicts_of_one(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, row_buckets: int) -> None:
    monkeypatch.setattr(two_pass, "ROW_BUCKETS", row_buckets)
    raw = mixed(spark, row_buckets, 60)
    inputs = CleaningInputs({"kinds": spark.createDataFrame([("a",)], "kind string")}, fit_fences(raw, VISITS))
    clean, counts, broken, refused = outcome(validate_rows(raw, VISITS, START, END, inputs), inputs)
    assert min(counts.values()) > 0, counts
    assert {rule.rule for rule in broken} > {"rule: an a has none", "reference: kind in kinds"}
    assert two_passes(raw, inputs) == (clean, counts, broken, refused)


def test_the_first_pass_reports_the_newest_of_its_clean_rows(spark: SparkSession) -> None:
    contract = replace(VISITS, references=())
    rows = ("1", "2013-01-10 07:00:00Z", "0", "a"), ("2", "2013-02-10", "0", "a"), ("3", "2013-01-20", "7", "a")
    raw = landed(spark, contract, *rows)
    assert first_pass_of(raw, contract) == FirstPassResult(
        1, datetime(2013, 1, 10, 7, tzinfo=UTC), [warning(1)], row_buckets_of(raw, "3")
    )
    assert first_pass_of(raw.where("id = 2"), contract) == FirstPassResult(1, None, [], [])


def test_without_event_time_the_first_pass_refuses_no_row_for_its_time(spark: SparkSession) -> None:
    contract = replace(VISITS, references=(), event_time=None)
    raw = landed(spark, contract, ("1", "2010-01-10", "0", "b"))
    assert first_pass_of(raw, contract) == FirstPassResult(0, None, [], [])


def first_pass_of(raw: DataFrame, contract: Table) -> FirstPassResult:
    """What the first pass reports."""
    validator, observation = (
        TwoPassValidator(contract, START, END, CleaningInputs(), shared_keys(raw, contract, CleaningInputs())),
        Observation(),
    )
    validator.first_pass(raw).observe(observation, *validator.first_pass_counts()).collect()
    return validator.first_pass_result(observation.get)


def row_buckets_of(raw: DataFrame, *ids: str) -> list[int]:
    """The spots of rows."""
    return [row[0] for row in raw.where(F.col("id").isin(*ids)).select(two_pass._row_bucket()).collect()]


def warning(rows: int) -> BrokenRule:
    """What rows of kind a break."""
    return BrokenRule("visits", "rule: an a has none", "warn", rows, "rule: an a has none (kind <> 'a')")
