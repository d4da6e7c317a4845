"""Status names last runs, ages, rows and the champion as the tables have them, and what is stale or failed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from pipelines.config import LakeConfig, StatusConfig
from pipelines.config.ages import parse_age
from pipelines.errors import ConfigError, ExternalError
from pipelines.io.catalog_reader import catalog_reader
from pipelines.io.iceberg import IcebergTable
from pipelines.io.lake import Lake
from pipelines.runtime.command_line import main
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run as RunRow
from pipelines.steps import status
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.status_facts import failures, shown_age
from pipelines.steps.status_report import StatusReport
from schemas import tables as stored
from schemas.contract import Column, Table
from setup.postgres import PostgresServer
from tests.conftest import session_on
from tests.pipelines.conftest import Run, visitor
from tests.pipelines.registry.versions import day, version
from tests.root import ROOT
from tests.sample import configured

MAY = (datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 5, 2, tzinfo=UTC))
LIVE = Table(
    "live_metrics",
    (
        stored.RUN,
        *stored.INTERVAL,
        Column("model_version", "int"),
        Column("rows", "bigint"),
        Column("metric", "string"),
        *(Column(name, "double") for name in ("value", "low", "high")),
    ),
)


def land_visits(visit: Run, folder: Path) -> Context:
    """Land and clean three visits to two shops, of which one breaks its contract."""
    rows = ("1,2013-05-01 10:00:00,1.5,a", "2,2013-05-01 11:00:00,2.5,b", "3,2013-05-01 12:00:00,wrong,b")
    (folder / "visits-05-01.csv").write_text("id,at,spent,shop\n" + "".join(f"{row}\n" for row in rows))
    context: Context = visit(INGEST, CLEAN)
    return context


@pytest.fixture
def visited(visit: Run, tmp_path: Path) -> Context:
    """The visits, landed and cleaned, for a test that changes their tables."""
    return land_visits(visit, tmp_path)


Report = Callable[..., StatusReport]


def reporter(spark: SparkSession, context: Context) -> Report:
    """Reports on a context's tables in the catalog of the tests' session, by default as they are now."""
    lake_config = LakeConfig(warehouse=spark.conf.get("spark.sql.catalog.lake.warehouse") or "")

    def report(later: timedelta = timedelta(), max_age: str | None = None, **settings: Any) -> StatusReport:
        config = context.config.model_copy(update={"lake": lake_config, "status": StatusConfig(**settings)})
        age = None if max_age is None else parse_age(max_age)
        return status.status_report(config, spark.sparkContext._gateway, datetime.now(UTC) + later, max_age=age)

    return report


def add_run(context: Context, job: str, outcome: str = "succeeded", **fields: Any) -> None:
    """A run of a job as its row in `runs`, begun now."""
    row = {"run_id": f"r_{job}", "pipeline": context.config.pipeline, "job": job, "status": outcome, "seconds": 0.5}
    of_code = {"fingerprint": "f", "config_hash": "", "code_version": "", "started_at": datetime.now(UTC)}
    context.runs.add(RunRow(**{**row, **of_code, **fields}))


@pytest.fixture(scope="module")
def reported(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, StatusReport]:
    """The visits, which no test changes, and the report on them."""
    folder = tmp_path_factory.mktemp("visits")
    with pytest.MonkeyPatch.context() as monkeypatch:
        context = land_visits(visitor(spark, folder, monkeypatch), folder)
        return context, reporter(spark, context)()


def test_a_report_has_the_last_run_of_each_job_and_no_problem(reported: tuple[Context, StatusReport]) -> None:
    context, status_report = reported
    assert status_report.ok and status_report.problems == () and status_report.champion is None
    assert [(run.job, run.status, run.rows) for run in status_report.jobs] == [
        ("ingest", "succeeded", 5),
        ("clean", "succeeded", 4),
    ]
    assert {(run.run_id, run.interval_from, run.interval_to) for run in status_report.jobs} == {(context.run_id, *MAY)}


def test_a_report_has_the_account_of_each_source(reported: tuple[Context, StatusReport]) -> None:
    sources = reported[1].sources
    accounts = [(each.source, each.rows_in, each.rows_out, each.quarantined) for each in sources]
    assert accounts == [("visits", 3, 2, 1), ("shops", 2, 2, 0)]
    assert sources[0].quarantined_share == pytest.approx(1 / 3)


def test_a_report_has_the_rows_and_ages_of_each_table(spark: SparkSession, reported: tuple[Context, StatusReport]) -> None:
    context, status_report = reported
    tables = {table.table: table for table in status_report.tables}
    assert sorted(tables) == context.lake.tables()
    # The third visit, at noon, was landed, but is not clean.
    assert tables["raw_visits"].newest_event == datetime(2013, 5, 1, 12, tzinfo=UTC)
    assert tables["clean_visits"].newest_event == datetime(2013, 5, 1, 11, tzinfo=UTC)
    assert tables["clean_shops"].newest_event is None
    assert [tables[name].rows for name in ("raw_visits", "clean_visits", "quarantine", "runs")] == [3, 2, 1, 2]
    written = spark.sql(f"select max(committed_at) from lake.{context.config.pipeline}.clean_visits.snapshots").first()
    assert written is not None and tables["clean_visits"].written_at == written[0].astimezone(UTC)


def test_a_table_older_than_its_bound_is_stale_and_maintenance_makes_none_younger(
    spark: SparkSession, visited: Context
) -> None:
    report, day_later = reporter(spark, visited), timedelta(hours=26)
    before = {table.table: table.written_at for table in report().tables}
    name = f"{visited.config.pipeline}.clean_visits"
    spark.sql(f"call lake.system.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))")
    last = spark.sql(f"select operation from lake.{name}.snapshots order by committed_at desc").first()
    assert last is not None and last[0] == "replace"
    assert {table.table: table.written_at for table in report().tables} == before
    assert report(later=day_later).ok, "without a bound nothing is stale"
    assert report(max_age="26h", later=timedelta(hours=25)).ok
    of_sources = ["clean_shops", "clean_visits", "raw_shops", "raw_visits"]
    old = report(max_age="26h", later=day_later)
    assert [(problem.kind, problem.subject) for problem in old.problems] == [("stale", each) for each in of_sources]
    assert old.problems[0].message.startswith("it was written 1 d 2 h ago; expected 1 d 2 h at most")
    assert [each.subject for each in report(max_age="26h", later=day_later, tables={"clean_shops": "3 days"}).problems] == [
        name for name in of_sources if name != "clean_shops"
    ]
    [missing] = report(tables={"scores": "26h"}).problems
    assert (missing.subject, missing.message) == ("scores", "it was never written, or not since snapshots expired")


def test_a_failed_last_run_is_a_problem_until_the_job_succeeds(spark: SparkSession, run: Run) -> None:
    context = run()
    report = reporter(spark, context)
    add_run(context, "clean")
    add_run(context, "train", "failed", error="rank 1 died\nits last lines")
    add_run(context, "pipeline", "interrupted", error="interrupted by SIGTERM", fingerprint="")
    assert [(each.subject, each.message) for each in report().problems] == [
        ("pipeline", "its last run r_pipeline interrupted: interrupted by SIGTERM"),
        ("train", "its last run r_train failed: rank 1 died"),
    ]
    assert {run.job: run.error for run in report().jobs}["train"] == "rank 1 died"
    add_run(context, "train", started_at=datetime.now(UTC) + timedelta(seconds=1))
    assert report().ok


def test_the_champion_has_its_metrics_with_intervals_on_test_and_live(spark: SparkSession, run: Run) -> None:
    context = run()
    report = reporter(spark, context)
    alias = {"alias": "champion", "name": context.config.pipeline}
    replaced = version(1, **alias, valid_to=day(3))
    rows = [replaced, version(1, **alias, valid_from=day(3)), version(2, alias=None)]
    context.lake.append_rows(stored.MODELS, [each.row for each in rows])
    champion = report().champion
    assert champion is not None and (champion.version, champion.since, champion.live) == (1, day(1), ())
    assert [(each.metric, each.value, each.low) for each in champion.test] == [("auc", 0.7, None)], "the registry's"
    base = {"interval_from": MAY[0], "interval_to": MAY[1], "model_run_id": "train1", "split": "test"}
    measured = [("auc", None, 0.75, 0.7, 0.8), ("log_loss", None, 0.5, None, None), ("auc", "gbm", 0.9, 0.8, 1.0)]
    names = ("metric", "baseline", "value", "low", "high")
    metrics = [{**base, "run_id": "evaluate1", **dict(zip(names, row, strict=True))} for row in measured]
    context.lake.append_rows(stored.EVALUATION_METRICS, [*metrics, {**metrics[0], "run_id": "evaluate2", "value": 0.1}])
    live = {"run_id": "d", "model_version": 1, "metric": "auc", "rows": 9, "value": 0.6, "low": 0.5, "high": float("nan")}
    earlier = {"interval_from": MAY[0] - timedelta(days=1), "interval_to": MAY[0]}
    spans = [{"interval_from": MAY[0], "interval_to": MAY[1]}, earlier]
    context.lake.append_rows(LIVE, [{**live, **spans[0]}, {**live, **spans[1]}, {**live, **spans[0], "model_version": 2}])
    champion = report().champion
    assert champion is not None
    assert [each.model_dump() for each in champion.test] == [
        {"metric": "auc", "value": 0.75, "low": 0.7, "high": 0.8},
        {"metric": "log_loss", "value": 0.5, "low": None, "high": None},
    ]
    assert [(each.value, each.low, each.high, each.rows, each.interval_to) for each in champion.live] == [
        (0.6, 0.5, None, 9, MAY[1])
    ]


def test_events_older_than_they_may_be_are_stale(spark: SparkSession, run: Run) -> None:
    context = run()
    report = reporter(spark, context)
    add_run(context, "clean")
    [unknown] = report(max_event_age="2 days").problems
    assert (unknown.subject, unknown.message) == ("clean_flights", "no event of it is known; expected 2 d at most")
    context.lake.append_rows(
        Table("clean_flights", (Column("time_hour", "timestamp"), *stored.INTERVAL)),
        [{"time_hour": datetime.now(UTC) - timedelta(hours=50), **context.whose_interval}],
    )
    [late] = report(max_event_age="2 days").problems
    assert late.message == "its newest event is 2 d 2 h old; expected 2 d at most"
    assert report(max_event_age="3 days").ok


@pytest.fixture
def job(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the job status in this process and Java, on a pipeline whose warehouse is in the test's folder."""
    gateway = spark.sparkContext._gateway
    monkeypatch.setattr(status, "java_gateway", lambda: nullcontext(gateway))

    def _job(*arguments: str, edit: Callable[[dict[str, Any]], object] = lambda _: None) -> int:
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump(configured(tmp_path, "watched", edit)))
        return main("status", ["--config", str(path), *arguments])

    return _job


def test_the_job_prints_one_json_object_and_its_exit_code_says_whether_all_is_well(
    spark: SparkSession, tmp_path: Path, job: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "warehouse").mkdir()
    written = Lake(session_on(spark, tmp_path / "warehouse"), "watched", "run1")
    row = {"run_id": "r1", "pipeline": "watched", "job": "ingest", "interval_from": MAY[0], "interval_to": MAY[1]}
    rest = {"fingerprint": "f", "config_hash": "", "code_version": "", "inputs": "{}", "outputs": "{}", "artifacts": "{}"}
    ended = {"started_at": datetime.now(UTC), "seconds": 1.0}
    written.append_rows(stored.RUNS, [{**row, **rest, **ended, "status": "succeeded"}])
    assert job("--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert list(content) == list(StatusReport.model_fields)
    assert (content["ok"], content["problems"], content["jobs"][0]["run_id"]) == (True, [], "r1")
    later = {**row, **rest, **ended, "status": "failed", "run_id": "r2", "seconds": 2.0, "error": "no route to host"}
    written.append_rows(stored.RUNS, [later])
    assert job() == 1
    output = capsys.readouterr().out
    assert "failed: ingest: its last run r2 failed: no route to host" in output and "Champion none" in output
    assert job("--json", "--runs", "2") == 1
    assert [run["run_id"] for run in json.loads(capsys.readouterr().out)["jobs"]] == ["r2", "r1"]
    # The same as people run it, with a Java of its own.
    command = [sys.executable, "jobs/status.py", "--config", str(tmp_path / "job.yaml"), "--json"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (completed.returncode, completed.stderr) == (1, "")
    assert json.loads(completed.stdout)["problems"][0]["subject"] == "ingest"


def test_a_warehouse_without_tables_is_named_and_nothing_is_created(
    spark: SparkSession, tmp_path: Path, job: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert job("--json") == 2
    expected = f"ringmill: status failed: pipeline watched has no tables in {tmp_path}/warehouse. Run its jobs first"
    assert capsys.readouterr().err.startswith(expected)
    assert not (tmp_path / "warehouse").exists()
    (tmp_path / "warehouse").mkdir()
    Lake(session_on(spark, tmp_path / "warehouse"), "other", "run1")
    assert job() == 2
    assert capsys.readouterr().err.startswith(expected)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "catalog.db").write_text("no database, but text that is long enough for SQLite to see" * 100)
    assert job(edit=lambda content: content["lake"].update(warehouse=str(tmp_path / "broken"))) == 5
    assert "lake.catalog: the catalog can't be read (" in capsys.readouterr().err


def test_a_database_that_is_empty_or_does_not_answer_is_named(
    spark: SparkSession, tmp_path: Path, postgres: PostgresServer, job: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def catalog(url: str, **settings: str) -> Callable[[dict[str, Any]], object]:
        return lambda content: content["lake"].update(catalog={"type": "jdbc", "uri": url, **settings})

    login = {"jdbc.user": postgres.user, "jdbc.password": postgres.password}
    postgres.execute("create database empty")
    assert job(edit=catalog(postgres.url.replace("/postgres", "/empty"), **login)) == 2
    assert "pipeline watched has no tables in" in capsys.readouterr().err
    assert replace(postgres, database="empty").execute("select count(*) from pg_stat_user_tables") == "0"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert job(edit=catalog(f"jdbc:postgresql://127.0.0.1:{port}/db", **login)) == 5
    errors = capsys.readouterr().err
    assert "lake.catalog: the catalog can't be read (Connection refused" in errors and errors.count("\n") == 1


def test_wrong_arguments_and_unknown_tables_are_exit_2(job: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert job("--max-age", "26") == 2
    assert "arguments: --max-age 26: expected a number above 0 and minutes, hours, days or weeks" in capsys.readouterr().err
    assert job("--runs", "0") == 2
    assert "arguments: --runs 0: expected at least 1" in capsys.readouterr().err
    assert job(edit=lambda content: content.update(status={"tables": {"score": "1h"}})) == 2
    assert "status.tables: unknown table score; expected some of broken_rules, " in capsys.readouterr().err
    assert job(edit=lambda content: content.update(status={"max_age": 26})) == 2
    assert "status.max_age: expected a number above 0 and minutes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("26h", 93_600), ("1.5 hours", 5_400), ("90 min", 5_400), ("2 Days", 172_800), ("1week", 604_800), ("3m", 180)],
)
def test_ages_are_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_age(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "h", "26", "0h", "-1h", "1 month", "5 ms", "1e3h", 26, None, True])
def test_what_is_no_age_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a number above 0"):
        parse_age(text)


def test_an_age_is_shown_in_its_two_largest_units() -> None:
    shown = {0.4: "0 s", 59: "59 s", 61: "1 min", 3_660: "1 h 1 min", 86_460: "1 d", 90_000: "1 d 1 h"}
    assert {seconds: shown_age(seconds) for seconds in shown} == shown


def test_an_interruption_between_steps_is_over_once_any_step_succeeds() -> None:
    def row(job: str, outcome: str, minute: int, fingerprint: str = "f") -> dict[str, Any]:
        at = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
        base = {"job": job, "status": outcome, "started_at": at, "seconds": 1.0, "fingerprint": fingerprint}
        return {**base, "run_id": "r", "error": None}

    interrupted = [row("ingest", "succeeded", 0), row("pipeline", "interrupted", 1, fingerprint="")]
    assert [each.subject for each in failures(interrupted)] == ["pipeline"]
    assert failures([*interrupted, row("clean", "succeeded", 2)]) == []
    assert [each.subject for each in failures([row("clean", "interrupted", 1), row("ingest", "succeeded", 2)])] == ["clean"]


def test_reading_a_catalog_leaves_no_trace_in_it(spark: SparkSession, run: Run) -> None:
    context = run()
    add_run(context, "ingest")
    add_run(context, "clean")
    lake_config = LakeConfig(warehouse=spark.conf.get("spark.sql.catalog.lake.warehouse") or "")
    before = IcebergTable(spark, context.lake.identifier("runs")).references()
    with catalog_reader(spark.sparkContext._gateway, lake_config, context.config.pipeline) as reader:
        assert reader.rows("nothing", {}) == []
        assert {row["job"] for row in reader.rows("runs", {})} == {"ingest", "clean"}
    assert IcebergTable(spark, context.lake.identifier("runs")).references() == before
    with (
        pytest.raises(ConfigError, match="pipeline nobody has no tables"),
        catalog_reader(spark.sparkContext._gateway, lake_config, "nobody"),
    ):
        pass
    broken = LakeConfig(warehouse="w", catalog={"catalog-impl": "no.such.Class"})
    with (
        pytest.raises(ExternalError, match=r"lake\.catalog: the catalog can't be read \("),
        catalog_reader(spark.sparkContext._gateway, broken, "nobody"),
    ):
        pass
