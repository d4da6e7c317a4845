"""Splits by entity and by column, leaks that are refused or named, and drift between train and what came after."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F
from sklearn.metrics import roc_auc_score

from pipelines.errors import ConfigError, DataError, QualityError
from pipelines.runtime.checks import check_config
from pipelines.runtime.code import code_version
from pipelines.runtime.context import Context
from pipelines.runtime.step import Step
from pipelines.steps.clean import STEP as CLEAN
from pipelines.steps.drift import STEP as DRIFT
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.ingest import STEP as INGEST
from pipelines.steps.train import keep_snapshots
from tests.pipelines.conftest import Run


def split_by(**split: Any) -> Any:
    """Edits the configuration's split."""
    return lambda content: content["features"].update(split=split)


def by_season(content: dict[str, Any]) -> None:
    """Edits the configuration so that the feature seats moves with the days."""
    content["features"]["derive"] = "tests.pipelines.steps.leaky:by_season"


def in_december(content: dict[str, Any]) -> None:
    """Edits the configuration's interval: a window of one month."""
    content["interval"]["from"] = "2013-12-01"


def digests(context: Context) -> dict[str, str]:
    """The rows of what features has written, all bits in one number a table, and how many there are."""
    by_table = {}
    for name in ("features", "feature_stats", "feature_samples"):
        rows = context.lake.read(name)
        columns = [F.col(column) for column in rows.columns if column not in ("run_id", "provenance")]
        by_table[name] = str(rows.agg(F.bit_xor(F.xxhash64(*columns)), F.count("*")).head())
    return by_table


def record_training(context: Context, run_id: str = "t1") -> None:
    """Record a training run over the features that are there; like a run of earlier releases, it keeps no snapshot."""
    features = context.runs.needed("features", by="the test")
    inputs, artifacts = {"features": features.run_id}, {"model": "none"}
    run = replace(features, run_id=run_id, job="train", inputs=inputs, artifacts=artifacts, started_at=datetime.now(UTC))
    context.runs.add(run)


@pytest.mark.slow
def test_no_entity_is_in_two_splits(cleaned_departures: Run) -> None:
    context = cleaned_departures(FEATURES, config=split_by(by="entity", columns=["airline"], validation=0.2, test=0.2))
    rows = context.lake.read("features")
    counts = {row.split: row["count"] for row in rows.groupBy("split").count().collect()}
    assert set(counts) == {"train", "validation", "test"}
    assert rows.where("split != 'train' and airline != 0").count() == 0  # all their words are unseen
    assert rows.where("split = 'train' and airline = 0").count() == 0


@pytest.mark.slow
def test_rows_without_a_split_and_splits_without_rows_are_exit_3(cleaned_departures: Run) -> None:
    def with_known_at(content: dict[str, Any], predicted_at: str) -> None:
        content["features"].update(known_at={"seats": "scheduled_departure"}, predicted_at=predicted_at)

    before = cleaned_departures().lake.snapshot_id("features")
    with pytest.raises(DataError, match=r"rows with the split AirTran .*, Alaska .*; expected train, validation, test alone"):
        cleaned_departures(FEATURES, config=split_by(by="column", column="airline"))
    with pytest.raises(DataError, match="the test split has no labelled row"):
        cleaned_departures(FEATURES, config=split_by(validation_from="2013-10-01", test_from="2014-10-01"))
    with pytest.raises(DataError, match=r"only after they were to be used: seats of [\d,]+ rows \(scheduled_departure\)"):
        cleaned_departures(FEATURES, config=lambda c: with_known_at(c, "time_hour"))
    assert cleaned_departures().lake.snapshot_id("features") == before
    context = cleaned_departures(FEATURES, config=lambda c: with_known_at(c, "scheduled_departure"))
    assert context.lake.snapshot_id("features") != before
    assert context.lake.read("features").count() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (split_by(by="entity", columns=["tail"]), r"features\.split\.columns: unknown column tail; expected some of time_hour"),
        (split_by(by="column", column="part"), r"features\.split\.column: unknown column part"),
        (lambda c: c["features"].update(predicted_at="airline"), r"features\.predicted_at: airline is no time"),
        (lambda c: c["features"].update(known_at={"temp": "airline"}), r"features\.known_at: airline is no time"),
    ],
)
def test_columns_are_checked_before_anything_runs(run: Run, edit: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(run(config=edit).config)


@pytest.mark.slow
def test_labels_that_are_no_class_and_baselines_that_are_no_sql_are_refused(cleaned_departures: Run) -> None:
    def of_classes(content: dict[str, Any]) -> None:
        content.update(task={"kind": "multiclass", "classes": ["a", "b"]}, evaluate={})
        content["features"]["derive"] = "tests.pipelines.steps.leaky:delays"

    def baseline(content: dict[str, Any], sql: str) -> None:
        content["features"]["baselines"] = {"simple": sql}

    with pytest.raises(DataError, match=r"[\d,]+ rows have a label that is no class; expected whole numbers from 0 to 1"):
        cleaned_departures(FEATURES, config=of_classes)
    with pytest.raises(ConfigError, match=r"features\.baselines\.simple: Spark can't read 'distanc / 8' as float: .*distanc"):
        cleaned_departures(FEATURES, config=lambda c: baseline(c, "distanc / 8"))
    with pytest.raises(ConfigError, match=r"features\.baselines\.simple: Spark can't read 'distance /' as float"):
        cleaned_departures(FEATURES, config=lambda c: baseline(c, "distance /"))
    with pytest.raises(ConfigError, match=r"leaky:without_seats gives no column distance, seats; expected all that tests"):
        cleaned_departures(FEATURES, config=lambda c: c["features"].update(derive="tests.pipelines.steps.leaky:without_seats"))
    context = cleaned_departures(FEATURES, config=lambda c: baseline(c, "least(distance / 5000, 1)"))
    rows = context.lake.read("features").where("baseline_simple is not null")
    assert 0 <= rows.agg(F.min("baseline_simple")).collect()[0][0] < rows.agg(F.max("baseline_simple")).collect()[0][0] <= 1


@pytest.mark.slow
def test_statistics_are_kept_with_their_provenance(cleaned: Run) -> None:
    context = cleaned(FEATURES)
    stats = {row.feature: row for row in context.lake.read("feature_stats").collect()}
    provenances = {row.provenance for row in stats.values()}
    assert len(provenances) == 1
    provenance = json.loads(provenances.pop())
    assert provenance["snapshots"]["flights"] == context.lake.snapshot_id("clean_flights") is not None
    assert (provenance["spec"], provenance["code"]) == (context.config.digest("features", "task"), code_version())
    assert list(stats["temp"].quartiles) == [stats["temp"].percentiles[at] for at in (49, 99, 149)]
    assert 0.9 < sum(stats["airline"].shares) <= 1


@pytest.mark.slow
def test_each_feature_has_the_auc_of_its_values(cleaned: Run) -> None:
    context = cleaned(FEATURES)
    stats = {row.feature: row for row in context.lake.read("feature_stats").collect()}
    assert all(0.5 <= row.auc <= 1 for row in stats.values())
    train = context.lake.read("features").where("split = 'train'").select("label", "minute_of_day").toPandas()
    auc = roc_auc_score(train["label"], train["minute_of_day"])
    assert stats["minute_of_day"].auc == pytest.approx(auc, abs=0.005)


@pytest.mark.slow
def test_the_drift_of_validation_and_test_is_kept_for_each_feature(cleaned: Run) -> None:
    lake = cleaned(FEATURES).lake
    names = [row.feature for row in lake.read("feature_stats").collect()]
    moved = {(row.compared, row.feature): row for row in lake.read("drift_metrics").collect()}
    assert set(moved) == {(split, name) for split in ("validation", "test") for name in names}
    assert moved["test", "temp"].psi > 1  # November is no summer
    assert moved["test", "distance"].psi < 0.2
    assert moved["test", "airline"].ks is None


@pytest.mark.slow
def test_a_few_hundred_samples_are_kept_of_the_examples(cleaned: Run) -> None:
    lake = cleaned(FEATURES).lake
    samples = lake.read("feature_samples")
    assert 150 < samples.count() < 400
    assert samples.join(lake.read("features"), "row_id").count() == samples.count()


@pytest.mark.slow
def test_examples_are_the_same_by_either_writer_and_their_files_are_removed(
    cleaned_departures: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(cleaned_departures().artifacts("examples")).parent
    for name, hours in (("killed", 25), ("running", 1)):
        file = folder / name / "part-0.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
        os.utime(file, times=(time.time() - hours * 3600,) * 2)
    by_spark = digests(cleaned_departures(FEATURES, force=True))
    assert [path.name for path in folder.iterdir()] == ["running"]
    with monkeypatch.context() as remote:
        remote.setattr("pipelines.steps.examples.is_local", lambda _: False)
        assert digests(cleaned_departures(FEATURES, force=True)) == by_spark
    assert [path.name for path in folder.iterdir()] == ["running"]

    def refuse(uri: str) -> None:
        raise PermissionError(uri)

    monkeypatch.setattr("pipelines.steps.examples.delete_folder", refuse)
    with pytest.raises(DataError, match="AirTran"):  # what went wrong is said, not what it left behind
        cleaned_departures(FEATURES, config=split_by(by="column", column="airline"))


@pytest.mark.slow
def test_an_interval_is_compared_with_what_was_trained_on(run_departures: Run) -> None:
    def run(*steps: Step, config: Any = lambda _: None, **options: Any) -> Context:
        def edit(content: dict[str, Any]) -> None:
            by_season(content)
            config(content)

        return run_departures(*steps, config=edit, **options)

    whole = run(INGEST, CLEAN, FEATURES)
    with pytest.raises(DataError, match="no model has been trained"):
        run(DRIFT)
    record_training(whole)
    compared = run(DRIFT, config=in_december)  # a window within the interval that is cleaned
    moved = {row.feature: row for row in run().lake.read("drift_metrics").where("compared = 'interval'").collect()}
    assert moved["seats"].psi > 1
    assert moved["seats"].ks > 0.5
    assert moved["distance"].ks < 0.1
    assert {row.reference_run_id for row in moved.values()} == {whole.runs.needed("features", by="the test").run_id}
    report = Path(compared.runs.needed("drift", by="the test").artifacts["report"]).read_text()
    report_rows = re.findall(r"<td>interval</td><td>(\w+)</td><td>([\d.]+)</td>", report)
    assert report_rows == [(name, f"{row.psi:.3f}") for name, row in sorted(moved.items(), key=lambda item: -item[1].psi)]
    assert f"<td>2013-12-01 00:00 to 2014-01-01 00:00</td><td>{report_rows[0][0]}</td>" in report

    def strict(content: dict[str, Any]) -> None:
        in_december(content)
        content["drift"] = {"ks": {"fail": 0.5}}

    with pytest.raises(
        QualityError, match=r"have moved from what the model was trained on: seats: ks [\d.]+ is above 0\.5"
    ) as caught:
        run(DRIFT, config=strict)
    assert caught.value.exit_code == 4
    table = run().lake.read("drift_metrics")
    assert table.where("compared = 'interval'").count() == len(moved)  # they replace the former ones
    assert table.where(F.col("compared") != "interval").count() == 2 * len(moved)
    run(FEATURES, force=True)
    with pytest.raises(DataError, match=r"feature_stats no longer has those of run .* Run jobs/train\.py again"):
        run(DRIFT, config=in_december)
    anew = run()
    record_training(anew, run_id=anew.run_id)
    snapshots = {name: anew.lake.snapshot_id(name) for name in ("features", "feature_stats")}
    keep_snapshots(anew, {name: at for name, at in snapshots.items() if at is not None})
    run(FEATURES, force=True)
    run(DRIFT, config=in_december)
    again = run().lake.read("drift_metrics").where("compared = 'interval'").toPandas().set_index("feature")["psi"]
    assert dict(again) == {name: row.psi for name, row in moved.items()}  # the same features, made anew twice


@pytest.mark.slow
def test_rows_that_become_no_features_are_quarantined_up_to_a_bound(cleaned_departures: Run) -> None:
    def endless(where: str, share: float, column: str = "distance") -> Any:
        def edit(content: dict[str, Any]) -> None:
            content["clean"]["max_quarantined_share"] = share
            content["features"]["derive"] = "tests.pipelines.steps.leaky:endless"
            content["features"]["parameters"].update(where=where, column=column)
            if column == "label":
                content["train"].pop("monitor", None)
                content.update(task={"kind": "regression"}, evaluate={})

        return edit

    few = "flight % 20 = 7"
    context = cleaned_departures(FEATURES, config=endless(few, 0.2))
    expected = context.lake.read("clean_flights").where(f"{few} and dep_delay is not null").count()
    assert expected > 100
    refused = context.lake.read("quarantine").where("source = 'features'").collect()
    assert [list(row.reasons) for row in refused] == [["distance: expected a finite number"]] * expected
    ledger = context.lake.read("row_ledger").where("step = 'features'").collect()[0]
    assert (ledger.quarantined, ledger.rows_out) == (expected, context.lake.read("features").count())
    assert ledger.rows_in == ledger.rows_out + ledger.quarantined + ledger.filtered
    with pytest.raises(
        DataError, match=rf"features of flights: {expected} of .*'distance: expected .*; expected at most 1\.0%"
    ):
        cleaned_departures(FEATURES, config=endless(few, 0.01))
    with pytest.raises(DataError, match=r"no labelled row of the test split became features \([\d,]+ rows quarantined"):
        cleaned_departures(FEATURES, config=endless("time_hour >= '2013-11-01'", 1))
    with pytest.raises(DataError, match=rf"{expected} rows have a label that is NaN or infinite"):
        cleaned_departures(FEATURES, config=endless(f"{few} and label is not null", 1, "label"))
    assert cleaned_departures().lake.snapshot_id("features") == context.lake.snapshot_id("features")
