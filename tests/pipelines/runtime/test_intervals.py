"""Intervals that are landed and cleaned one by one, windows that read across them, and intervals that cover others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from pipelines.config import WHOLE, Interval
from pipelines.errors import ConfigError, DataError
from pipelines.io.lake import Lake
from pipelines.runtime.context import Context
from pipelines.runtime.coverage import WrittenInterval
from pipelines.runtime.gaps import gaps_of, uncovered
from pipelines.runtime.intervals import run_steps
from pipelines.runtime.runs import RunLog
from pipelines.runtime.step import Step
from pipelines.runtime.whole import check_whole
from pipelines.runtime.window import window_of, window_rows
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.ingest import STEP as INGEST
from schemas.contract import ContractError
from tests.pipelines.conftest import numbers
from tests.pipelines.steps import visits
from tests.sample import pipeline

Over = Callable[..., Context]
DAYS = {
    1: ("1,2013-05-01 10:00,1,a", "2,2013-05-01 13:00,5,b", "x,2013-05-01 13:00,5,b", "7,2013-05-01 23:00,2,a"),
    2: ("3,2013-05-02 10:00,2,a", "7,2013-05-02 09:00,6,a"),
    3: ("4,2013-05-03 10:00,5,b", "5,2013-05-03 15:00,2,", "y,2013-05-03 16:00,2,a"),
    4: ("8,2013-05-04 10:00,1,a",),  # there, but ingested by one test alone
}


def day(number: int, hour: int = 0) -> datetime:
    """A moment in May."""
    return datetime(2013, 5, number, hour, tzinfo=UTC)


@pytest.fixture(scope="module")
def over(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Over:
    """Runs steps of the visits over any span of May: `over(steps, start, end, path=..., allow_gaps=...)`. Three days are
    ingested and cleaned, each as its own interval; before the third, shop a has moved to another town.
    """
    folder = tmp_path_factory.mktemp("intervals")

    def _over(
        *steps: Step,
        start: datetime,
        end: datetime,
        path: str = "visits-{from:%m-%d}.csv",
        features: Mapping[str, Any] = MappingProxyType({}),
        task: str = "binary",
        name: str = "intervals",
        **options: Any,
    ) -> Context:
        def edit(content: dict[str, Any]) -> None:
            content.update(contracts="tests.pipelines.steps.visits", timezone="UTC", task={"kind": task}, evaluate={})
            content["interval"] = {"from": start, "to": end}
            files = {"visits": path, "shops": "shops.csv"}
            content["sources"] = {name: {"kind": "csv", "path": str(folder / file)} for name, file in files.items()}
            content["sources"]["visits"].update({"every": "day"} if "{" in path else {})
            content["clean"]["max_quarantined_share"] = 1
            content["features"] = {
                "rows_of": "visits",
                "derive": "tests.pipelines.steps.visits:derive",
                "split": {"validation_from": "2013-05-02", "test_from": "2013-05-03"},
                "numeric": {"spent": {}},
                **features,
            }

        config = pipeline(folder, name, edit)
        lake = Lake(spark, config.pipeline, f"run{next(numbers)}")
        interval = Interval(start=start, end=end).located("UTC")
        force = options.pop("force", False)
        log, quiet = RunLog(lake, interval), Console(quiet=True)
        context = Context(config, interval, spark, lake, log, quiet, config_path="conf/visits.yaml", **options)
        run_steps(steps, context, force=force)
        return context

    for number, lines in DAYS.items():
        (folder / f"visits-05-{number:02}.csv").write_text("\n".join(["id,at,spent,shop", *lines]) + "\n")
    for number in (1, 2, 3):
        (folder / "shops.csv").write_text(f"shop,town\na,{'Aix' if number == 3 else 'Aachen'}\nb,Bonn\n")
        _over(INGEST, CLEAN, start=day(number), end=day(number + 1))
    return _over


def read(context: Context) -> tuple[list[tuple[int, float]], tuple[int, int, int], str]:
    """What the context's window has of visits (id, spent), rows in, duplicates and copies of them, and the town of shop a."""
    window = window_of(context, "features")
    visits, shops = (window_rows(context, window, name) for name in ("visits", "shops"))
    town = shops.rows.where("shop = 'a'").collect()[0].town
    return sorted((row.id, row.spent) for row in visits.rows.collect()), visits[1:], town


@pytest.mark.slow
def test_a_window_reads_events_across_intervals_and_each_key_once(over: Over) -> None:
    ids = [(1, 1), (2, 5), (3, 2), (4, 5), (5, 2), (7, 6)]  # the later visit 7 stays, as latest_by says
    assert read(over(start=day(1), end=day(4))) == (ids, (7, 1, 0), "Aix")
    assert read(over(start=day(1), end=day(3))) == ([(1, 1), (2, 5), (3, 2), (7, 6)], (5, 1, 0), "Aachen")


@pytest.mark.slow
def test_a_window_need_not_begin_or_end_where_intervals_do(over: Over) -> None:
    assert read(over(start=day(1, 12), end=day(3, 12))) == ([(2, 5), (3, 2), (4, 5), (7, 6)], (5, 1, 0), "Aachen")
    assert read(over(start=day(3, 11), end=day(4))) == ([(5, 2)], (1, 0, 0), "Aix")
    assert read(over(start=day(3, 11), end=day(3, 20))) == ([(5, 2)], (1, 0, 0), "Aachen")  # the newest landing before


@pytest.mark.slow
def test_a_snapshot_with_history_says_when_each_landing_was_valid(over: Over, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(visits.SOURCES, "shops", replace(visits.SHOPS, history=True))

    def towns(start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        context = over(start=start, end=end)
        rows = window_rows(context, window_of(context, "features"), "shops").rows.where("shop = 'a'")
        moments = [F.unix_seconds(name) for name in ("valid_from", "valid_to")]
        result = rows.select("town", *moments).collect()
        bounds = [[None if at is None else datetime.fromtimestamp(at, UTC) for at in row[1:]] for row in result]
        return sorted(
            zip([row.town for row in result], *zip(*bounds, strict=True), strict=True), key=lambda row: row[1] or day(1)
        )

    # Each landing is known at the end of its day; of the first it is not known when it began to be so.
    assert towns(day(1), day(4)) == [("Aachen", None, day(3)), ("Aachen", day(3), day(4)), ("Aix", day(4), None)]
    assert towns(day(3, 11), day(3, 20)) == [("Aachen", None, None)]
    with pytest.raises(ContractError, match="history is of a snapshot"):
        replace(visits.VISITS, history=True)


@pytest.mark.slow
def test_gaps_of_a_window_are_named_with_the_commands_that_fill_them(over: Over) -> None:
    over(INGEST, start=day(4), end=day(5))
    with pytest.raises(DataError) as caught:
        over(FEATURES, start=day(1), end=day(6, 12))
    assert str(caught.value).splitlines() == [
        "features: parts of the window 2013-05-01 00:00 to 2013-05-06 12:00 are not cleaned; expected cleaned intervals that "
        "cover it. Run these, or read what is there with --allow-gaps:",
        "  2013-05-04 00:00 to 2013-05-05 00:00 is landed, not cleaned: jobs/clean.py --config conf/visits.yaml "
        "--from 2013-05-04 --to 2013-05-05",
        "  2013-05-05 00:00 to 2013-05-06 12:00 is not landed: jobs/ingest.py --config conf/visits.yaml "
        "--from 2013-05-05 --to 2013-05-06T12:00, then jobs/clean.py --config conf/visits.yaml "
        "--from 2013-05-05 --to 2013-05-06T12:00",
    ]
    rows, counts, town = read(over(start=day(1), end=day(6, 12), allow_gaps=True))
    assert (len(rows), counts, town) == (6, (7, 1, 0), "Aix")
    with pytest.raises(DataError, match="parts of the window 2013-05-05"):  # nothing at all is there to be read
        read(over(start=day(5), end=day(6), allow_gaps=True))


@pytest.mark.slow
def test_cleaning_an_interval_again_makes_the_features_of_its_window_stale(
    over: Over, caplog: pytest.LogCaptureFixture
) -> None:
    context = over(FEATURES, start=day(1), end=day(4))
    run = context.runs.needed("features", by="the test")
    assert len(json.loads(json.dumps(run.inputs))) == 3
    account = context.lake.read("row_ledger").where("step = 'features' and source = 'visits'").collect()
    assert [(row.rows_in, row.rows_out, row.duplicates, row.filtered) for row in account] == [(7, 6, 1, 0)]
    splits = {row.split: row["count"] for row in context.lake.read("features").groupBy("split").count().collect()}
    assert splits == {"train": 2, "validation": 2, "test": 2}
    assert over(FEATURES, start=day(1), end=day(4)).runs.needed("features", by="the test").run_id == run.run_id
    over(CLEAN, start=day(2), end=day(3), force=True)
    assert caplog.messages[-1] == (
        "    stale: the features of 2013-05-01 00:00 to 2013-05-04 00:00, and what was made of them, are older than these "
        "rows: jobs/features.py --config conf/visits.yaml --from 2013-05-01 --to 2013-05-04"
    )
    again = over(FEATURES, start=day(1), end=day(4))
    assert again.runs.needed("features", by="the test").run_id == again.run_id
    assert context.lake.read("features").count() == 6


@pytest.mark.slow
def test_a_split_may_end_with_the_window_and_derivations_look_back_before_it(over: Over) -> None:
    features = {
        "split": {"validation": "24 hours", "test": "10 hours"},  # from 05-02 14:00, and from 05-03 14:00
        "numeric": {"spent": {}, "earlier": {}},
    }
    first = over(FEATURES, start=day(2), end=day(4), features=features, task="regression")
    context = over(FEATURES, start=day(2), end=day(4), features={**features, "look_back": "1 day"}, task="regression")
    rows = context.lake.read("feature_samples").where(context.in_interval).collect()
    # Visit 3 comes after 7 in shop a; on the day before was visit 1, and one of key 7, in whose place the later one is.
    assert sorted((json.loads(row.raw)["spent"], json.loads(row.raw)["earlier"]) for row in rows) == [
        (2, 0), (2, 2), (5, 1), (6, 1)
    ]  # fmt: skip
    splits = context.lake.read("features").where(context.in_interval).groupBy("split").count().collect()
    assert {row.split: row["count"] for row in splits} == {"train": 2, "validation": 1, "test": 1}
    account = context.lake.read("row_ledger").where(context.in_interval & (F.col("step") == "features")).collect()
    assert [(row.rows_in, row.rows_out, row.duplicates) for row in account] == [(4, 4, 0)]
    assert first.runs.needed("features", by="the test").inputs.keys() < context.runs.needed("features", by="it").inputs.keys()
    window = window_of(over(start=day(1), end=day(4), features={**features, "look_back": "1 year"}), "features")
    assert len(window.intervals) == 3  # before the data began there is no gap


@pytest.mark.slow
def test_data_without_time_needs_no_interval(over: Over) -> None:
    context = over(INGEST, CLEAN, start=WHOLE.start, end=WHOLE.end, path="visits-*.csv", name="whole")
    assert (read(context)[0][-1], context.shown(*context.bounds)) == ((8, 1), "all data")
    check_whole(context.config, context.interval)
    with pytest.raises(DataError, match=r"^train: features has not been done for all data\. Run jobs/features\.py"):
        context.runs.needed("features", by="train")
    sliced = over(start=WHOLE.start, end=WHOLE.end, name="whole")
    with pytest.raises(ConfigError, match=r"interval: the configuration has none, but sources\.visits is given an interval's"):
        check_whole(sliced.config, sliced.interval)
    relative = {"split": {"validation": "2 days", "test": "1 day"}}
    ending = over(start=WHOLE.start, end=WHOLE.end, path="visits-*.csv", name="whole", features=relative)
    with pytest.raises(ConfigError, match=r"features\.split goes by the window's end \(test: 1 day\)"):
        check_whole(ending.config, ending.interval)


@pytest.mark.slow
def test_rows_without_a_time_of_a_source_of_intervals_are_read_from_all_of_them(
    over: Over, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(visits.SOURCES, "visits", replace(visits.VISITS, event_time=None))
    assert read(over(start=day(1), end=day(3))) == ([(1, 1), (2, 5), (3, 2), (7, 6)], (5, 1, 0), "Aachen")
    with pytest.raises(
        DataError, match=r"visits: its contract has no event_time, so its rows of 2013-05-02 00:00 to 2013-05-03"
    ):
        read(over(start=day(1), end=day(2, 12)))


@pytest.mark.slow
def test_intervals_that_overlap_from_before_are_not_read_twice(over: Over, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"visits": 1, "shops": 1}
    two = [WrittenInterval(day(1), day(2), "a", rows), WrittenInterval(day(1), day(4), "b", rows)]
    monkeypatch.setattr("pipelines.runtime.window.overlapping", lambda *_: two)
    message = r"2013-05-01 00:00 to 2013-05-02 00:00 and 2013-05-01 00:00 to 2013-05-04 00:00 are both cleaned, .*covers both"
    with pytest.raises(DataError, match=message):
        window_of(over(start=day(1), end=day(4)), "features")


@pytest.mark.slow
def test_a_clean_table_that_is_not_what_the_ledger_says_is_not_read(over: Over) -> None:
    context = over(start=day(1), end=day(4))
    window = window_of(context, "features")
    first, *others = window.intervals
    more = first._replace(rows={**first.rows, "visits": first.rows["visits"] + 1})
    with pytest.raises(DataError, match=r"clean_visits has 7 rows of the window .*, row_ledger says 8\. A run of clean was"):
        window_rows(context, replace(window, intervals=(more, *others)), "visits")


@pytest.fixture(scope="module")
def covering(over: Over) -> Context:
    """The three days again, as one interval; it is for the last tests of the module, since the days' own are replaced."""
    return over(INGEST, CLEAN, start=day(1), end=day(4), path="visits-*.csv")


@pytest.mark.slow
def test_a_covering_interval_replaces_those_that_it_covers(over: Over, covering: Context) -> None:
    context = covering
    raw, clean = context.lake.read("raw_visits"), context.lake.read("clean_visits")
    assert raw.where(context.replaced).count() == 10  # day 4's file matches, too: it has landed with that day as well
    assert sorted(row.id for row in clean.collect()) == [1, 2, 3, 4, 5, 7]
    assert clean.where(context.in_interval).count() == 6
    assert context.lake.read("quarantine").where("source = 'visits'").count() == 2
    broken = context.lake.read("broken_rules").where(context.replaced).collect()
    assert sorted((row.severity, row.rows) for row in broken) == [("quarantine", 2), ("warn", 1)]
    ledger = context.lake.read("row_ledger").where(context.replaced & F.col("step").isin("ingest", "clean"))
    days = [f"2013-05-0{n}T00:00:00+00:00 to 2013-05-0{n + 1}T00:00:00+00:00" for n in (1, 2, 3)]
    assert {(row.step, row.source, tuple(row.replaced)) for row in ledger.collect()} == {
        (step, source, tuple(days)) for step in ("ingest", "clean") for source in ("visits", "shops")
    }
    assert read(over(start=day(1), end=day(4)))[0] == [(1, 1), (2, 5), (3, 2), (4, 5), (5, 2), (7, 6)]


@pytest.mark.slow
def test_an_interval_that_cuts_through_another_is_refused_and_changes_nothing(over: Over, covering: Context) -> None:
    before = covering.lake.snapshot_id("raw_visits")
    for step, name, ended in ((INGEST, "landed", 5), (CLEAN, "cleaned", 4)):
        with pytest.raises(ConfigError) as caught:
            over(step, start=day(2), end=day(6))
        assert str(caught.value) == (
            f"{step.name}: 2013-05-02 00:00 to 2013-05-06 00:00 cuts through what is {name} already "
            f"(2013-05-01 00:00 to 2013-05-04 00:00), whose rows would be there twice; expected an interval that is equal to "
            f"an existing one, covers it completely or lies beside it. No table was changed. Run the same interval again "
            f"(--from 2013-05-01 --to 2013-05-04), or one that covers all of them and replaces them (--from 2013-05-01 --to "
            f"2013-05-06), or one that begins where they end (--from 2013-05-0{ended} --to 2013-05-06)."
        )
    with pytest.raises(ConfigError, match=r"^ingest: 2013-05-02 .* cuts through .* Run the same interval again \([^)]*\)\.$"):
        over(INGEST, start=day(2), end=day(3))
    with pytest.raises(DataError, match=r"clean: 2013-05-04 .*2013-05-06 00:00 was not landed as one interval, but 2013-05-04"):
        over(CLEAN, start=day(4), end=day(6))
    assert covering.lake.snapshot_id("raw_visits") == before


def test_what_intervals_leave_uncovered_follows_from_their_bounds() -> None:
    one, two = WrittenInterval(day(2), day(3), "a", {}), WrittenInterval(day(5), day(7), "b", {})
    assert uncovered(day(1), day(6), [two, one]) == [(day(1), day(2)), (day(3), day(5))]
    assert uncovered(day(2), day(3), [one]) == []
    assert uncovered(day(2, 5), day(2, 6), []) == [(day(2, 5), day(2, 6))]
    assert gaps_of(day(1), day(8), [one], [one, two]) == [
        (day(1), day(2), False),
        (day(3), day(5), False),
        (day(5), day(7), True),
        (day(7), day(8), False),
    ]
