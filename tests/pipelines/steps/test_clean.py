"""Cleaning at work: every row is accounted for, late ones where they belong, refused ones come back once they are mended."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from pipelines.config import Interval
from pipelines.errors import DataError, ExternalError
from pipelines.runtime.context import Context
from pipelines.runtime.intervals import run_intervals, run_steps
from pipelines.steps import validation
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.replay import STEP as REPLAY
from schemas.contract import Column, Freshness, Outliers, Rule, Volume
from tests.pipelines.conftest import Run
from tests.pipelines.steps.visits import VISITS

HEADER = "id,at,spent,shop\n"


@pytest.fixture
def day(tmp_path: Path) -> Any:
    """Writes a day's visits."""

    def _day(number: int, *lines: str) -> None:
        (tmp_path / f"visits-05-{number:02}.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))

    return _day


def account(context: Context, source: str = "visits") -> tuple[int, ...]:
    """The interval's ledger of cleaning: in, out, quarantined, duplicates, filtered, repeated."""
    ledger = context.lake.read("row_ledger").where(
        context.in_interval & (F.col("step") == "clean") & (F.col("source") == source)
    )
    rows = ledger.collect()
    assert len(rows) == 1
    return tuple(rows[0][n] for n in ("rows_in", "rows_out", "quarantined", "duplicates", "filtered", "repeated"))


def clean_ids(context: Context) -> list[int]:
    """The ids of the interval's clean visits."""
    return sorted(row.id for row in context.lake.read("clean_visits").where(context.in_interval).collect())


def quarantine(context: Context) -> dict[str, list[str]]:
    """The interval's refused rows, by what they were: their reasons."""
    rows = context.lake.read("quarantine").where(context.in_interval).collect()
    assert max(Counter(row.raw for row in rows).values(), default=1) == 1
    return {row.raw: list(row.reasons) for row in rows}


@pytest.mark.slow
def test_refused_rows_say_where_they_stood_and_why(visit: Run, day: Any) -> None:
    day(1, "1,2013-05-01 10:00,5,a", "x,2013-05-01 10:00,500,z", "", "3,4", "4,2013-05-01 11:00,1,b", "4,2013-05-01 12:00,2,b")
    context = visit(INGEST, CLEAN)
    assert account(context) == (5, 2, 2, 1, 0, 0)
    rows = context.lake.read("quarantine").orderBy("source_line").collect()
    assert [(row.source_line, row.unparsed, row.raw) for row in rows] == [
        (2, False, '{"id":"x","at":"2013-05-01 10:00","spent":"500","shop":"z"}'),
        (4, True, "3,4"),
    ]
    assert list(rows[0].reasons) == [
        "id: expected a value of type int, received 'x'",
        "spent: expected at most 100, received '500'",
        "reference: expected shop in shops, received 'z'",
    ]
    assert rows[0].source_file.endswith("visits-05-01.csv")


@pytest.mark.slow
@pytest.mark.parametrize("most", [1000, 0])
def test_many_rows_are_scanned_for_shared_keys_first(visit: Run, day: Any, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(validation, "SMALL_ROWS", 0)
    monkeypatch.setattr(validation, "SHARED_KEYS", most)
    day(
        1,
        "1,2013-05-01 10:00,5,a",
        "1,2013-05-01 11:00,6,a",
        "1,2013-05-01 11:00,6,a",
        "2,2013-05-01 10:00,5,z",
        "2,x,5,a",
        "3,4",
    )
    context = visit(INGEST, CLEAN)
    assert account(context) == (6, 1, 3, 2, 0, 1)
    assert [row.spent for row in context.lake.read("clean_visits").collect()] == [6]


@pytest.mark.slow
def test_lines_count_on_through_the_blocks_of_a_file(visit: Run, day: Any) -> None:
    rows = [f"{n},2013-05-01 10:00,5,a" for n in range(2000)]
    rows[700], rows[1999] = "seven hundred", "the last"
    day(1, *rows)
    spark = visit().spark
    spark.conf.set("spark.sql.files.maxPartitionBytes", "10k")
    try:
        context = visit(INGEST, CLEAN)
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert context.lake.read("raw_visits").select("source_block").distinct().count() > 3
    lines = {row.raw: row.source_line for row in context.lake.read("quarantine").collect()}
    assert lines == {"seven hundred": 701, "the last": 2000}


@pytest.mark.slow
def test_warnings_are_counted_and_logged(visit: Run, day: Any, caplog: pytest.LogCaptureFixture) -> None:
    day(1, "1,2013-05-01 10:00,5,", "2,2013-05-01 10:00,5,a")
    context = visit(INGEST, CLEAN)
    assert clean_ids(context) == [1, 2]
    rows = [(row.rule, row.severity, row.rows) for row in context.lake.read("broken_rules").collect()]
    assert rows == [("rule: a visit names its shop", "warn", 1)]
    assert "visits: 1 rows, rule: a visit names its shop" in caplog.text


@pytest.mark.slow
def test_a_rule_that_must_hold_fails_the_run_and_changes_nothing(visit: Run, day: Any) -> None:
    day(1, "1,2013-05-01 10:00,5,a", "2,2013-05-01 10:00,50,a")
    before = visit(INGEST, CLEAN)
    strict = replace(VISITS, rules=(Rule("nobody spends much", "spent < 20", "fail"),))
    with pytest.raises(DataError, match=r"visits: rule: nobody spends much, broken by 1 rows, for example: rule") as caught:
        visit(CLEAN, contract=strict)
    assert caught.value.exit_code == 3
    assert visit().lake.snapshot_id("clean_visits") == before.lake.snapshot_id("clean_visits")


@pytest.mark.slow
def test_an_interval_is_compared_with_those_before_it(visit: Run, day: Any) -> None:
    contract = replace(VISITS, volume=Volume(0.5, 2, 3, "fail"), freshness=Freshness(2, "fail"))
    for number in (1, 2):
        day(number, *(f"{n},2013-05-0{number} 23:00,5,a" for n in range(10)))
        visit(INGEST, CLEAN, day=number, contract=contract)
    day(3, *(f"{n},2013-05-03 23:00,5,a" for n in range(21)))
    with pytest.raises(DataError, match=r"volume: expected 5 to 20 rows .* the median of 2 intervals before\), received 21"):
        visit(INGEST, CLEAN, day=3, contract=contract)
    day(3, *(f"{n},2013-05-03 21:00,5,a" for n in range(20)))
    with pytest.raises(DataError, match=r"freshness: expected a row within 2 hours of 2013-05-04.*newest is 2013-05-03 21:00"):
        visit(INGEST, CLEAN, day=3, contract=contract)


@pytest.mark.slow
def test_late_rows_land_in_their_own_interval_whichever_is_run_first(visit: Run, day: Any) -> None:
    day(1, "1,2013-05-01 10:00,5,a", "2,2013-05-01 10:00,5,a")
    first = visit(INGEST, CLEAN)
    day(2, "3,2013-05-02 10:00,5,a", "4,2013-05-01 23:59,5,a", "2,2013-05-01 11:00,6,b", "5,2013-05-03 00:00,5,a")
    # In one application: the day before is cleaned again by a run of its own, so what was made of it is known to be stale.
    second = first.over(Interval(start=first.interval.end, end=first.interval.end + timedelta(days=1)))
    run_steps((INGEST, CLEAN), second, force=False)
    cleaned = first.over(first.interval).runs.latest("clean")
    assert cleaned and cleaned.run_id not in {first.run_id, None}
    assert {row.run_id for row in first.lake.read("clean_visits").where("id = 4").collect()} == {cleaned.run_id}
    assert (clean_ids(first), account(first)) == ([1, 2, 4], (4, 3, 0, 1, 0, 0))
    assert (clean_ids(second), account(second)) == ([3], (4, 1, 0, 0, 3, 0))
    assert [row.spent for row in first.lake.read("clean_visits").where("id = 2").collect()] == [6]
    day(3, "6,2013-05-03 10:00,5,a")
    third = visit(INGEST, CLEAN, day=3)
    assert clean_ids(third) == [5, 6]
    snapshot = third.lake.snapshot_id("clean_visits")
    for number in (1, 2, 3):
        visit(INGEST, CLEAN, day=number)
    assert third.lake.snapshot_id("clean_visits") == snapshot
    day(2, "3,2013-05-02 10:00,5,a")
    visit(INGEST, CLEAN, day=2)
    assert (clean_ids(first), clean_ids(second), clean_ids(third)) == ([1, 2], [3], [6])
    assert [row.spent for row in first.lake.read("clean_visits").where("id = 2").collect()] == [5]


@pytest.mark.slow
def test_a_day_without_visits_is_a_day(visit: Run, day: Any) -> None:
    day(1)
    context = visit(INGEST, CLEAN)
    assert account(context) == (0, 0, 0, 0, 0, 0)


@pytest.mark.slow
def test_replay_moves_rows_that_pass_now_and_doubles_none(visit: Run, day: Any) -> None:
    day(1, "1,2013-05-01 10:00,5,a", "2,2013-05-01 10:00,500,a", "1,2013-05-01 11:00,200,a", "y,2013-05-01 10:00,500,a", "7")
    before = visit(INGEST, CLEAN)
    assert (clean_ids(before), account(before)) == ([1], (5, 1, 4, 0, 0, 0))
    fixed = replace(VISITS, columns=(*VISITS.columns[:2], Column("spent", "double", maximum=1000), VISITS.columns[3]))
    context = visit(REPLAY, contract=fixed)
    assert (clean_ids(context), account(context)) == ([1, 2], (5, 2, 2, 1, 0, 0))
    assert [row.spent for row in context.lake.read("clean_visits").where("id = 1").collect()] == [200]
    assert quarantine(context) == {
        '{"id":"y","at":"2013-05-01 10:00","spent":"500","shop":"a"}': ["id: expected a value of type int, received 'y'"],
        "7": ["line: expected 4 fields, received another number"],
    }
    lines = {row.raw: row.source_line for row in context.lake.read("quarantine").collect()}
    assert sorted(lines.values()) == [4, 5]
    again = visit(REPLAY, contract=fixed, force=True)
    assert (clean_ids(again), account(again)) == ([1, 2], (5, 2, 2, 1, 0, 0))
    replayed = sorted(map(tuple, again.lake.read("clean_visits").drop("run_id").collect()))
    anew = visit(CLEAN, contract=fixed)
    assert anew.runs.needed("clean", by="the test").run_id == context.run_id  # the replay was a cleaning: nothing to do
    assert (sorted(map(tuple, anew.lake.read("clean_visits").drop("run_id").collect())), account(anew)) == (
        replayed,
        account(again),
    )


@pytest.mark.slow
def test_replay_with_nothing_to_move_changes_no_table(visit: Run, day: Any) -> None:
    day(1, "1,2013-05-01 10:00,5,a", "2,2013-05-01 10:00,500,a")
    before = visit(INGEST, CLEAN).lake.snapshot_id("quarantine")
    assert visit(REPLAY).lake.snapshot_id("quarantine") == before


@pytest.mark.slow
def test_replay_needs_a_cleaned_interval(visit: Run) -> None:
    with pytest.raises(DataError, match=r"replay: clean has not been done"):
        visit(REPLAY)


@pytest.mark.slow
def test_flagged_outliers_have_a_column(visit: Run, day: Any) -> None:
    spent = replace(VISITS.columns[2], outliers=Outliers("flag", 0, 0.9))
    contract = replace(VISITS, columns=(*VISITS.columns[:2], spent, VISITS.columns[3]))
    day(1, *(f"{n},2013-05-01 10:00,{n},a" for n in range(10)))
    context = visit(INGEST, CLEAN, contract=contract)
    flagged = context.lake.read("clean_visits").where("spent_outlier").collect()
    assert [row.id for row in flagged] == [9]


@pytest.mark.slow
def test_a_contract_may_take_up_a_column_that_came_as_extra(visit: Run, day: Any, tmp_path: Path) -> None:
    def add(content: dict[str, Any]) -> None:
        content["sources"]["visits"]["drift"] = "add"

    (tmp_path / "visits-05-01.csv").write_text("id,at,spent,shop,mood\n1,2013-05-01 10:00,5,a,good\n")
    before = visit(INGEST, CLEAN, config=add)
    assert "mood" not in before.lake.read("clean_visits").columns
    grown = replace(VISITS, columns=(*VISITS.columns, Column("mood", "string")))
    context = visit(CLEAN, contract=grown, config=add)
    assert [row.mood for row in context.lake.read("clean_visits").collect()] == ["good"]


@pytest.mark.slow
def test_a_span_is_done_in_parts_and_resumed_after_a_failure(visit: Run, day: Any, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        day(number, f"{number},2013-05-0{number} 10:00,5,a")
    context = visit()
    whole = Interval(start=datetime(2013, 5, 1, tzinfo=UTC), end=datetime(2013, 5, 4, tzinfo=UTC))
    with pytest.raises(ExternalError, match=r"no file at .*visits-05-03\.csv"):
        run_intervals([INGEST, CLEAN], context, whole.cut("day"), force=False)
    day(3, "3,2013-05-03 10:00,5,a")
    run_intervals([INGEST, CLEAN], context, whole.cut("day"), force=False)
    assert sorted(row.id for row in context.lake.read("clean_visits").collect()) == [1, 2, 3]
    log = "\n".join(caplog.messages)
    assert "interval 1 of 3: 2013-05-01 00:00 to 2013-05-02 00:00\n" in log
    assert re.search(r"interval 3 of 3: 2013-05-03 00:00 to 2013-05-04 00:00, about \d+ s left", log)
    assert log.count("nothing to do") == 4
