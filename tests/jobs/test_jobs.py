"""The jobs as people run them: spark-submit, an embedded cluster whose executors are processes of their own, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import yaml
from pyspark.sql import DataFrame, SparkSession
from sklearn import metrics as peer

from pipelines.config import read_config
from tests.conftest import session_on
from tests.contexts import quiet_context
from tests.departures import departures
from tests.jobs.several import Ended, in_turn
from tests.jobs.test_signals import left_in
from tests.prediction_routes import check_routes
from tests.processes import WORK, environment, left_since, running
from tests.root import ROOT
from tests.sample import configured, write_sample

EVERY = 33  # rows of flights.csv to one of the sample: 10,206 flights of the whole year
STEPS = ("ingest", "clean", "features", "train", "evaluate")
Submit = Callable[..., subprocess.CompletedProcess[str]]


def submit(job: str, *arguments: str, master: str | None = None, **given: str) -> subprocess.CompletedProcess[str]:
    """spark-submit a job, with more variables in its environment; its output is in the result, the job's own all on standard
    output, where spark-submit puts it.
    """
    where = ["--master", master, "--driver-memory", "1g"] if master else []
    return submit_program(*where, f"jobs/{job}.py", *arguments, **given)


def submit_program(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    """spark-submit with its arguments and more variables in its environment."""
    command, env = [str(Path(sys.executable).with_name("spark-submit")), *arguments], {**environment(), **given}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=env, timeout=600)


def write_config(folder: Path, name: str, edit: Callable[[dict[str, Any]], object] = lambda _: None) -> str:
    """A configuration file over the sample in `folder`."""
    return write_yaml(folder / f"{name}.yaml", configured(folder, "jobs", edit))


def write_yaml(path: Path, content: dict[str, Any]) -> str:
    """Write a configuration; return its path."""
    path.write_text(yaml.safe_dump(content))
    return str(path)


def applications() -> set[Path]:
    """The executors' folders that jobs' embedded clusters keep while they run: each holds a copy of every jar. The last part of
    the name is the job's process; those of launches, which another worker may test at the same time, begin otherwise.
    """
    return set(WORK.glob("app-*-0000-*"))


@pytest.fixture(scope="module")
def folder(flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of the data, on which every job has run alone, one after the other, each by its own spark-submit."""
    directory = tmp_path_factory.mktemp("jobs")
    write_sample(flights_csv, directory, every=EVERY)
    config = write_config(directory, "flights")
    for step in STEPS:
        completed = submit(step, "--config", config)
        assert completed.returncode == 0, f"{step}: {completed.stdout}\n{completed.stderr}"
    return directory


@pytest.fixture
def table(spark: SparkSession, folder: Path) -> Callable[[str], DataFrame]:
    """Reads a table that the jobs wrote, in a session whose catalog is theirs."""
    session = session_on(spark, folder / "warehouse")
    return lambda name: session.table(f"lake.jobs.{name}")


@pytest.mark.slow
def test_all_tables_are_there_and_the_accounts_close(table: Callable[[str], DataFrame]) -> None:
    sources = ("flights", "weather", "planes", "airports", "airlines")
    names = [f"{kind}_{source}" for kind in ("raw", "clean") for source in sources]
    names += ["features", "feature_stats", "training_history", "feed_receipts", "predictions", "evaluation_metrics"]
    assert [name for name in names if not table(name).count()] == []
    for row in table("row_ledger").collect():
        assert row.rows_in == row.rows_out + row.quarantined + row.duplicates + row.filtered, row
    runs = {row.job: row for row in table("runs").collect()}
    assert {job: row.status for job, row in runs.items()} == dict.fromkeys(STEPS, "succeeded")
    assert json.loads(runs["train"].inputs) == {"features": runs["features"].run_id}
    assert (
        json.loads(runs["features"].outputs)["features"] == table("features.snapshots").orderBy("committed_at").collect()[-1][1]
    )


@pytest.mark.slow
def test_two_ranks_saw_every_train_row_once_an_epoch(table: Callable[[str], DataFrame]) -> None:
    rows = table("features").where("split = 'train'").count()
    checksum = table("features").where("split = 'train'").selectExpr("sum(pmod(row_id, 2147483647))").collect()[0][0]
    receipts = table("feed_receipts").collect()
    assert {(row.epoch, row.rank) for row in receipts} == {(epoch, rank) for epoch in (0, 1) for rank in (0, 1)}
    for epoch in (0, 1):
        assert sum(row.rows for row in receipts if row.epoch == epoch) == rows
        assert sum(row.checksum for row in receipts if row.epoch == epoch) == checksum
    assert [row.best for row in table("training_history").collect()].count(True) == 1
    assert "train_" in " ".join(row.name for row in table("features.refs").collect())


@pytest.mark.slow
def test_metrics_are_scikit_learns_on_the_predictions_table(table: Callable[[str], DataFrame]) -> None:
    metrics: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    for row in table("evaluation_metrics").collect():
        metrics[row.split][row.metric] = row.value
    for split, values in metrics.items():
        rows = table("predictions").where(f"split = '{split}'").toPandas()
        label, score = rows["label"].to_numpy().astype(int), rows["score"].to_numpy().astype(np.float64)
        verdict = score >= values["threshold"]
        expected = {
            "auc": peer.roc_auc_score(label, score),
            "average_precision": peer.average_precision_score(label, score),
            "log_loss": peer.log_loss(label, score),
            "brier": peer.brier_score_loss(label, score),
            "accuracy": peer.accuracy_score(label, verdict),
            "precision": peer.precision_score(label, verdict),
            "recall": peer.recall_score(label, verdict),
            "f1": peer.f1_score(label, verdict),
            "rows": len(rows),
        }
        assert {name: values[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-9)
    assert len(table("predictions").collect()) == sum(values["rows"] for values in metrics.values())


@pytest.mark.slow
def test_model_and_report_are_where_the_lineage_says(table: Callable[[str], DataFrame]) -> None:
    artifacts = {row.job: json.loads(row.artifacts) for row in table("runs").collect()}
    model = Path(artifacts["train"]["model"])
    assert sorted(path.name for path in model.iterdir()) == [
        "features.json", "input_schema.json", "manifest.json", "model.keras", "model.onnx", "model_card.json",
        "network.onnx", "output_schema.json", "saved_model",
    ]  # fmt: skip
    features = json.loads((model / "features.json").read_text())["features"]
    text, number = tf.constant([""]), tf.constant([np.nan], tf.float64)
    unknown = {f["name"]: text if f["kind"] == "categorical" else number for f in features}
    loaded = tf.saved_model.load(str(model / "saved_model"))
    assert 0 < float(loaded.serve(unknown)[0]) < 1
    assert "<svg" in Path(artifacts["evaluate"]["report"]).read_text()


@pytest.mark.slow
def test_the_same_pipeline_again_has_nothing_to_do_and_still_says_what_there_is(folder: Path) -> None:
    before, folders, new_folders = running(), applications(), set()
    (temporary := folder / "tmp").mkdir()
    with ThreadPoolExecutor(1) as pool:
        # On executors of their own, which keep their folders while they run.
        arguments = ("pipeline", "--config", str(folder / "flights.yaml"))
        job = pool.submit(submit, *arguments, master="local-cluster[1,2,2048]", TMPDIR=str(temporary))
        while not job.done():
            new_folders |= applications() - folders
            time.sleep(0.1)
    completed = job.result()
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.count("nothing to do") == 5
    for heading in ("Rows", "Training", "Metrics", "Seconds", "Tables", "Model", "Report", "make sql"):
        assert heading in completed.stdout
    assert "Champion version 1 of run " in completed.stdout
    assert f"spark-submit jobs/predict.py --model champion --config {folder / 'flights.yaml'}" in completed.stdout
    assert f"python -m pipelines.serving --model champion --config {folder / 'flights.yaml'}" in completed.stdout
    assert left_since(before) == set()
    assert left_in(temporary) == []
    # Named by its process as well: jobs may start in the same second.
    assert [bool(re.fullmatch(r"app-\d{14}-0000-\d+", path.name)) for path in new_folders] == [True]
    assert applications() <= folders


class Afterwards(NamedTuple):
    """What jobs do with the tables that are there: the rows of some tables and the number of all before, and how each ended."""

    rows: dict[str, int]
    tables: int
    jobs: dict[str, Ended]


@pytest.fixture(scope="module")
def afterwards(spark: SparkSession, folder: Path, flights_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Afterwards:
    """Jobs one after the other in one process, as `spark-submit` runs each: their start would take longer than their work."""
    session = session_on(spark, folder / "warehouse")
    names = ("raw_flights", "clean_flights", "quarantine", "row_ledger", "features")
    rows = {name: session.table(f"lake.jobs.{name}").count() for name in names}
    tables = session.sql("SHOW TABLES IN lake.jobs").count()
    tidy = write_config(folder, "tidy", lambda content: content.update(maintain={"snapshot_days": 0}))
    moved = write_config(folder, "moved", lambda content: content.update(drift={"psi": {"warn": 1e-6, "fail": 1e-5}}))
    strict = write_config(folder, "strict", lambda content: content.update(evaluate={"minimum": {"auc": 0.999}}))
    wide = write_config(folder, "wide", lambda content: content["train"].update(ranks=5))
    apart = tmp_path_factory.mktemp("span")
    write_sample(flights_csv, apart)
    span = ("ingest", "--config", write_yaml(apart / "span.yaml", departures(apart, "jobs")), "--every", "month")
    jobs = {
        "plan": ("maintain", "--config", tidy, "--dry-run"),
        "maintain": ("maintain", "--config", tidy),
        "again": ("evaluate", "--config", tidy, "--force"),
        "drift": ("drift", "--config", moved),
        "replay": ("replay", "--config", str(folder / "flights.yaml")),
        "gate": ("evaluate", "--config", strict),
        "wide": ("train", "--config", wide),
        "span": (*span, "--from", "2013-01-01", "--to", "2013-03-01"),
        "odd span": (*span, "--from", "2013-01-01", "--to", "2013-03-02"),
    }
    before = running()
    ended = in_turn(folder, tidy, list(jobs.values()), submit_program)
    assert left_since(before) == set()
    return Afterwards(rows, tables, dict(zip(jobs, ended, strict=True)))


@pytest.mark.slow
def test_maintain_tidies_every_table_and_training_can_be_repeated_from_its_tag(
    afterwards: Afterwards, table: Callable[[str], DataFrame]
) -> None:
    plan, completed, again = (afterwards.jobs[name] for name in ("plan", "maintain", "again"))
    assert (plan.code, plan.printed.count("would go: ")) == (0, afterwards.tables), plan.printed
    assert completed.code == 0, completed.printed
    assert all(f"{name}: files" in completed.printed for name in afterwards.rows)
    assert {name: table(name).count() for name in afterwards.rows} == afterwards.rows
    # The plan has left none.
    assert [row.status for row in table("runs").where("job = 'maintain'").collect()] == ["succeeded"]
    assert table("features.snapshots").count() == table("features.refs").select("snapshot_id").distinct().count()
    assert again.code == 0, again.printed


@pytest.mark.slow
def test_drift_beyond_a_bound_is_exit_4(afterwards: Afterwards, table: Callable[[str], DataFrame]) -> None:
    completed = afterwards.jobs["drift"]
    assert completed.code == 4, completed.printed
    assert "features have moved from what the model was trained on" in completed.printed
    assert table("drift_metrics").where("compared = 'interval'").count() == table("feature_stats").count()


@pytest.mark.slow
def test_replay_says_what_passes_and_moves_nothing_else(afterwards: Afterwards, table: Callable[[str], DataFrame]) -> None:
    completed = afterwards.jobs["replay"]
    assert completed.code == 0, completed.printed
    assert "weather: 0 rows pass now, 1 do not" in completed.printed
    assert [row.source for row in table("quarantine").collect()] == ["weather"]


@pytest.mark.slow
def test_a_span_is_ingested_in_parts_by_one_command(afterwards: Afterwards) -> None:
    completed, wrong = (afterwards.jobs[name] for name in ("span", "odd span"))
    assert completed.code == 0, completed.printed
    assert "interval 2 of 2: 2013-02-01 00:00 to 2013-03-01 00:00, about" in completed.printed
    assert wrong.code == 2
    assert "--every: 2013-01-01 00:00:00-05:00 to 2013-03-02 00:00:00-05:00 is not a whole number of 'month'" in wrong.printed


@pytest.mark.slow
def test_a_missed_gate_is_exit_4_and_is_recorded(afterwards: Afterwards, table: Callable[[str], DataFrame]) -> None:
    completed = afterwards.jobs["gate"]
    assert completed.code == 4
    assert "the model misses its gate on test: auc 0." in completed.printed
    assert "Traceback" not in completed.printed
    failed = table("runs").where("status = 'failed' and job = 'evaluate'").collect()
    assert ["misses its gate" in str(row.error) for row in failed] == [True]


@pytest.mark.slow
def test_more_ranks_than_slots_is_exit_2(afterwards: Afterwards) -> None:
    completed = afterwards.jobs["wide"]
    assert completed.code == 2
    assert "5 ranks need 5 slots at once, the cluster has 2" in completed.printed


@pytest.mark.slow
def test_every_route_gives_the_same_prediction(spark: SparkSession, folder: Path, tmp_path: Path) -> None:
    session = session_on(spark, folder / "warehouse")
    check_routes(quiet_context(session, read_config(folder / "flights.yaml"), "routes"), tmp_path, prepared=False)


@pytest.mark.slow
def test_eight_intervals_that_eight_processes_ingest_at_once_all_land(
    flights_csv: Path, tmp_path: Path, spark: SparkSession
) -> None:
    write_sample(flights_csv, tmp_path)
    config = write_yaml(tmp_path / "parallel.yaml", departures(tmp_path, "jobs"))
    days = [f"2013-0{month}-01" for month in range(1, 10)]
    intervals = [("--config", config, "--from", start, "--to", end) for start, end in pairwise(days)]
    with ThreadPoolExecutor(len(intervals)) as pool:
        completed = list(pool.map(lambda arguments: submit("ingest", *arguments, master="local[1]"), intervals))
    assert [(job.returncode, job.stdout) for job in completed if job.returncode] == []
    session = session_on(spark, tmp_path / "warehouse")
    for name, rows in {"raw_flights": 8420, "raw_planes": 3322, "raw_airlines": 16}.items():
        landed = session.table(f"lake.jobs.{name}").groupBy("interval_from").count().collect()
        assert [row["count"] for row in landed] == [rows] * 8
    assert session.table("lake.jobs.row_ledger").count() == 8 * 3
    assert session.table("lake.jobs.runs").where("status = 'succeeded'").count() == 8


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "the following arguments are required: --config"),
        (["--config", "none.yaml"], 2, "config none.yaml: cannot be read"),
        (["--config", "conf/flights.yaml", "--frm", "2013"], 2, "unrecognized arguments"),
        (["--config", "conf/flights.yaml", "--from", "soon"], 2, "--from soon --to None: expected ISO dates"),
        (["--config", "conf/flights.yaml", "--from", "2014-02-01"], 2, "expected ISO dates or times, the first before"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments: list[str], code: int, message: str) -> None:
    completed = subprocess.run(
        [sys.executable, "jobs/ingest.py", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (completed.returncode, completed.stdout) == (code, "")
    assert message in completed.stderr
    assert len(completed.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("job", "edit", "code", "message"),
    [
        ("pipeline", lambda c: c.update(sparks={}), 2, "sparks: unknown key"),
        ("pipeline", lambda c: c["train"].update(epochs="x"), 2, "train.epochs: expected a valid integer; received 'x'"),
        ("pipeline", lambda c: c["features"]["numeric"].update(tmp={}), 2, "features.numeric.tmp: unknown column"),
        ("pipeline", lambda c: c["lake"].update(warehouse="/proc/none"), 5, "lake.warehouse: /proc/none can't be written to"),
        ("search", lambda c: c.pop("search"), 2, "search: the configuration has no section search"),
    ],
)
def test_a_wrong_configuration_is_reported_before_spark_starts(
    tmp_path: Path, job: str, edit: Callable[[dict[str, Any]], object], code: int, message: str
) -> None:
    config = write_config(tmp_path, "wrong", edit)
    command = [sys.executable, f"jobs/{job}.py", "--config", config]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert completed.returncode == code
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
