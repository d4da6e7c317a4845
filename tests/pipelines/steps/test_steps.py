"""The steps on a sample of the real data: what they write, what they refuse, and that a refusal changes no table."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.errors import AccountingError, ConfigError, DataError, ExternalError
from pipelines.runtime.context import Context
from pipelines.runtime.runs import RunLog
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.train import STEP as TRAIN
from pipelines.steps.train import read_spec
from schemas.flights import SOURCES
from setup.postgres import PostgresServer, flights_ddl
from tests.departures import departures
from tests.pipelines.conftest import Run, runner
from tests.sample import Row

FLIGHTS = 8420
DATA_TABLES = [f"{kind}_{name}" for kind in ("raw", "clean") for name in SOURCES]
DATA_TABLES += ["quarantine", "row_ledger", "features", "feature_stats", "training_history", "feed_receipts"]


def snapshots(context: Context) -> dict[str, int | None]:
    """What a reader of each table sees."""
    return {name: context.lake.snapshot_id(name) for name in DATA_TABLES}


def status(context: Context, job: str) -> list[tuple[str, str | None]]:
    """Status and error of a job's runs, in order."""
    runs = context.lake.read("runs").where(F.col("job") == job).orderBy("started_at").collect()
    return [(row.status, row.error) for row in runs]


def account(context: Context, step: str, source: str) -> tuple[int, ...]:
    """A step's ledger row: in, out, quarantined, duplicates, filtered."""
    row = context.lake.read("row_ledger").where((F.col("step") == step) & (F.col("source") == source)).collect()[0]
    return (row.rows_in, row.rows_out, row.quarantined, row.duplicates, row.filtered)


def dirty(rows: list[Row]) -> list[Row]:
    """Ten bad rows, seven duplicates, three from another year."""
    bad = [{**row, "distance": "far"} for row in rows[:5]] + [{**row, "origin": "ORD"} for row in rows[5:10]]
    years = [{**row, "time_hour": row["time_hour"].replace("2013", "2012")} for row in rows[10:13]]
    return bad + years + rows[13:] + rows[20:27]


@pytest.mark.slow
def test_from_files_to_features_every_row_is_accounted_for(run: Run) -> None:
    context = run(INGEST, CLEAN, FEATURES, rows=dirty)
    assert account(context, "ingest", "flights") == (FLIGHTS + 7, FLIGHTS + 7, 0, 0, 0)
    assert account(context, "clean", "flights") == (FLIGHTS + 7, FLIGHTS - 13, 10, 7, 3)
    assert account(context, "clean", "weather") == (26115, 26114, 1, 0, 0)
    _, out, _, _, unlabelled = account(context, "features", "flights")
    cancelled = context.lake.read("clean_flights").where(F.col("arr_delay").isNull()).count()
    assert (out, unlabelled) == (FLIGHTS - 13 - cancelled, cancelled)
    assert context.lake.read("features").count() == out
    reasons = context.lake.read("quarantine").where(F.col("source") == "flights").groupBy("reasons").count().collect()
    assert {row.reasons[0].split(":")[0]: row["count"] for row in reasons} == {"distance": 5, "origin": 5}
    assert [code for code, _ in status(context, "features")] == ["succeeded"]
    spec = read_spec(context)
    stats = context.lake.read("feature_stats").collect()
    assert {row.fingerprint for row in stats} == {spec.fingerprint}
    scaled = context.lake.read("features").where(F.col("split") == "train").agg(F.avg("distance"), F.stddev_pop("distance"))
    assert tuple(scaled.collect()[0]) == pytest.approx((0, 1), abs=1e-5)


@pytest.fixture(scope="module")
def again(spark: SparkSession, flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Like `run_departures`, over the sample as it is, which has been ingested and cleaned; tests may do so again."""
    shared = runner(spark, flights_csv, tmp_path_factory.mktemp("again"), departures)
    shared(INGEST, CLEAN)
    return shared


@pytest.mark.slow
def test_the_same_again_is_nothing_to_do_and_a_forced_run_gives_the_same(again: Run) -> None:
    before = again()
    rows = before.lake.read("clean_flights").drop("run_id").exceptAll
    first = snapshots(before)
    assert snapshots(again(INGEST, CLEAN)) == first
    after = again(INGEST, CLEAN, force=True)
    assert snapshots(after)["clean_flights"] != first["clean_flights"]
    assert rows(after.lake.read("clean_flights").drop("run_id")).count() == 0
    assert after.lake.read("clean_flights").count() == FLIGHTS


@pytest.mark.slow
def test_a_changed_configuration_is_work_again(again: Run) -> None:
    before = {step: len(status(again(), step)) for step in ("ingest", "clean")}
    context = again(INGEST, CLEAN, config=lambda c: c["clean"].update(max_quarantined_share=0.02))
    assert len(status(context, "ingest")) == before["ingest"]
    assert len(status(context, "clean")) == before["clean"] + 1


@pytest.mark.slow
def test_features_may_be_added_and_left_out_from_run_to_run(cleaned_departures: Run) -> None:
    def without(name: str) -> Any:
        return lambda content: content["features"]["numeric"].pop(name)

    cleaned_departures(FEATURES, config=without("seats"))
    context = cleaned_departures(FEATURES, config=without("distance"))
    rows = context.lake.read("features")
    assert rows.where("seats is null").count() == 0
    assert rows.where("distance is not null").count() == 0
    assert "seats" in read_spec(context).numbers


@pytest.mark.slow
def test_a_failure_that_cannot_be_recorded_does_not_hide_the_first(
    run_departures: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: RunLog, recorded: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(RunLog, "add", refuse)
    with pytest.raises(DataError, match="has no rows; expected at least one") as caught:
        run_departures(INGEST, rows=lambda _: [])
    assert caught.value.__notes__ == ["The failure could not be recorded in the table runs: disk full"]


@pytest.mark.slow
def test_a_missing_file_is_exit_5_and_lands_nothing(again: Run) -> None:
    before, runs = snapshots(again()), status(again(), "ingest")
    assert {code for code, _ in runs} == {"succeeded"}
    with pytest.raises(ExternalError, match=r"source planes: no file at /nowhere\.csv"):
        again(INGEST, config=lambda c: c["sources"]["planes"].update(path="/nowhere.csv"))
    context = again()
    assert snapshots(context) == before
    [*earlier, (code, error)] = status(context, "ingest")
    assert (earlier, code) == (runs, "failed")
    assert "no file at /nowhere.csv" in str(error)


@pytest.mark.slow
def test_files_of_one_source_may_order_their_columns_each_as_it_likes(run_departures: Run, tmp_path: Path) -> None:
    (tmp_path / "lines1.csv").write_text("carrier,name\nUA,United\n")
    (tmp_path / "lines2.csv").write_text("name,carrier\nDelta,DL\n")
    context = run_departures(INGEST, config=lambda c: c["sources"]["airlines"].update(path=str(tmp_path / "lines*.csv")))
    landed = context.lake.read("raw_airlines").select("carrier", "name").collect()
    assert sorted(map(tuple, landed)) == [("DL", "Delta"), ("UA", "United")]


@pytest.mark.slow
def test_a_file_that_breaks_off_is_exit_3_and_lands_nothing(run_departures: Run, tmp_path: Path) -> None:
    packed = gzip.compress(("carrier,name\n" + "UA,United\n" * 50_000).encode())
    (tmp_path / "lines.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"airlines: .*lines\.csv\.gz \(the file ends too early.*Fix or remove the file"):
        run_departures(INGEST, config=lambda c: c["sources"]["airlines"].update(path=str(tmp_path / "lines.csv.gz")))
    assert set(snapshots(run_departures()).values()) == {None}


@pytest.mark.slow
def test_a_file_without_rows_is_exit_3_and_lands_nothing(run_departures: Run) -> None:
    with pytest.raises(DataError, match=r"flights: .* has no rows; expected at least one"):
        run_departures(INGEST, rows=lambda _: [])
    assert set(snapshots(run_departures()).values()) == {None}


@pytest.mark.slow
def test_all_rows_quarantined_is_exit_3_and_cleans_nothing(run_departures: Run) -> None:
    expected = '8,420 of 8,420 rows quarantined (100.0%), for example because of "origin: expected one of EWR, JFK, LGA'
    context = run_departures(INGEST, rows=lambda rows: [{**row, "origin": "XXX"} for row in rows])
    before = snapshots(context)
    with pytest.raises(DataError) as caught:
        run_departures(CLEAN)
    assert expected in str(caught.value)
    assert caught.value.exit_code == 3
    assert snapshots(run_departures()) == before


@pytest.mark.slow
def test_one_bad_row_too_many_is_exit_3(run_departures: Run) -> None:
    context = run_departures(
        INGEST, rows=lambda rows: [{**row, "distance": "?"} if n < 90 else row for n, row in enumerate(rows)]
    )
    before = snapshots(context)
    with pytest.raises(DataError, match=r"90 of 8,420 rows quarantined \(1\.1%\).*expected at most 1\.0%"):
        run_departures(CLEAN)
    assert snapshots(run_departures()) == before


@pytest.mark.slow
@pytest.mark.parametrize(("derive", "leak"), [("one_less", "+1"), ("one_more", "-1")])
def test_a_leak_of_one_row_is_exit_3_and_changes_nothing(cleaned_departures: Run, derive: str, leak: str) -> None:
    before = snapshots(cleaned_departures())
    with pytest.raises(AccountingError, match=rf"features of flights: in 8,420 .*= \{leak}, expected 0") as caught:
        cleaned_departures(FEATURES, config=lambda c: c["features"].update(derive=f"tests.pipelines.steps.leaky:{derive}"))
    assert caught.value.exit_code == 3
    assert snapshots(cleaned_departures()) == before


@pytest.mark.slow
def test_a_feature_without_variance_is_exit_3_and_changes_nothing(run_departures: Run) -> None:
    context = run_departures(INGEST, CLEAN, rows=lambda rows: [{**row, "distance": "500"} for row in rows])
    before = snapshots(context)
    with pytest.raises(DataError, match=r"features\.numeric\.distance: no variance in the train split"):
        run_departures(FEATURES)
    assert snapshots(run_departures()) == before


@pytest.mark.slow
def test_a_category_unseen_in_training_is_the_unknown_one(run_departures: Run) -> None:
    def rename(rows: list[Row]) -> list[Row]:
        return [{**row, "dest": "ZZZ"} if row["month"] in ("11", "12") and row["day"] == "5" else row for row in rows]

    def with_destination(content: dict[str, Any]) -> None:
        content["features"]["categorical"]["dest"] = {}

    context = run_departures(INGEST, CLEAN, FEATURES, config=with_destination, rows=rename)
    unknown = context.lake.read("features").where(F.col("dest") == 0).groupBy("split").count().collect()
    named = context.lake.read("clean_flights").where("dest = 'ZZZ' and dep_delay is not null").count()
    counts = {row.split: row["count"] for row in unknown}
    assert counts["test"] >= named > 0
    assert "train" not in counts
    vocabulary = next(f.words for f in read_spec(context).features if f.kind == "categorical" and f.name == "dest")
    assert "ZZZ" not in (vocabulary or ("ZZZ",))


@pytest.mark.parametrize("step", [CLEAN, TRAIN], ids=["clean", "train"])
def test_a_step_without_the_one_before_says_which_to_run(run: Run, step: Any) -> None:
    with pytest.raises(DataError, match=rf"{step.name}: .*Run jobs/\w+\.py over the same interval first"):
        run(step)


def test_features_of_what_is_not_there_say_which_jobs_to_run(run: Run) -> None:
    arguments = r"--config conf/….yaml --from 2013-01-01 --to 2014-01-01"
    with pytest.raises(DataError, match=rf"features: .*\n.* is not landed: jobs/ingest\.py {arguments}, then jobs/clean\.py"):
        run(FEATURES)


@pytest.mark.slow
def test_training_refuses_what_it_cannot_start_and_changes_nothing(cleaned_departures: Run) -> None:
    before = snapshots(cleaned_departures(FEATURES))
    with pytest.raises(ConfigError, match="9 ranks need 9 slots at once, the cluster has 2"):
        cleaned_departures(TRAIN, config=lambda c: c["train"].update(ranks=9))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ExternalError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            cleaned_departures(TRAIN, config=lambda c: c["train"].update(channel_port=port))
    assert snapshots(cleaned_departures()) == before


@pytest.mark.slow
def test_a_table_of_postgresql_is_landed_and_cleaned_like_a_file(
    run_departures: Run, cleaned_departures: Run, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIGHTS_PASSWORD", postgres.password)
    table = {"kind": "jdbc", "url": postgres.url, "user": postgres.user, "password": "FLIGHTS_PASSWORD"}
    timed = {**table, "table": "public.steps_flights", "watermark": "time_hour", "lookback": "1d"}

    def databases(content: dict[str, Any]) -> None:
        content["sources"].update(flights=timed, airlines={**table, "table": "steps_airlines"})

    postgres.execute(flights_ddl("steps_flights") + "; create table steps_airlines (carrier text, name text)")
    before = cleaned_departures()
    run_departures()  # writes the sample
    for name in ("flights", "airlines"):
        postgres.copy_in(f"steps_{name}", tmp_path / f"{name}.csv", null="NA")
    context = run_departures(INGEST, CLEAN, config=databases)
    assert account(context, "ingest", "flights") == (FLIGHTS, FLIGHTS, 0, 0, 0)
    assert account(context, "clean", "flights") == (FLIGHTS, FLIGHTS, 0, 0, 0)
    for name in ("clean_flights", "clean_airlines"):
        rows = [
            run_context.lake.read(name).drop("run_id", "source_file", "source_row", "source_block")
            for run_context in (before, context)
        ]
        assert rows[0].exceptAll(rows[1]).count() == rows[1].exceptAll(rows[0]).count() == 0
    first = snapshots(context)
    assert snapshots(run_departures(INGEST, CLEAN, config=databases)) == first
    postgres.execute("update steps_airlines set name = 'United' where carrier = 'UA'")
    assert snapshots(run_departures(INGEST, CLEAN, config=databases))["raw_airlines"] != first["raw_airlines"]
