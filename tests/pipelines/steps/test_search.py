"""A search: trials are trainings, those that fail or fall behind end alone, and the best one is the run of train."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from pyspark.sql import functions as F

from pipelines.errors import QualityError
from pipelines.runtime.context import Context
from pipelines.serving.bundle import Bundle
from pipelines.steps.evaluate import STEP as EVALUATE
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.search import STEP as SEARCH
from tests.pipelines.conftest import Run
from tests.processes import left_since, running

EVERYTHING: dict[str, Any] = {
    "replicates": 20,
    "slices": ["origin", ["origin", "airline"]],
    "minimum_slice_rows": 100,
    "gradient_boosting": {"name": "trees", "rows": 2000, "iterations": 10},
    "importance_rows": 200,
    "calibration": "isotonic",
}
"""All that evaluate can do beside metrics and plots."""


def searching(**section: Any) -> Any:
    """Edits the configuration to have a search."""
    return lambda content: content.update(search=section)


def check_description(bundle: Bundle, feature_run: str) -> None:
    """Hold what a model's folder says of its inputs and its data against the flights' contract."""
    fields = {field.name: field for field in bundle.input_schema}
    assert (fields["distance"].unit, fields["distance"].minimum, fields["distance"].maximum) == ("miles", 1, 6000)
    assert fields["origin"].allowed == ("EWR", "JFK", "LGA")
    assert fields["origin_delay_1h"].from_history and not fields["temp"].from_history
    assert isinstance(fields["distance"].example, float)
    data = bundle.card["data"]
    assert data["feature_run"] == feature_run
    assert isinstance(data["features_snapshot"], int)
    assert set(data["rows"]) == {"train", "validation"}
    assert min(data["rows"].values()) > 0
    assert "CC0" in data["sources"]
    assert {"validation_loss", "validation_auc"} <= set(bundle.card["metrics"])


@pytest.mark.slow
def test_the_best_trial_is_promoted_and_evaluate_uses_it(cleaned: Run, tmp_path: Path) -> None:
    before = running(("pipelines.training.rank",))
    values = {"optimizer.learning_rate": {"choices": [0.003, 1e-9]}, "network.activation": {"choices": ["relu", "rellu"]}}
    search = {"sampler": "grid", "seed": 5, "trials": 9, "halving": {"minimum_epochs": 1, "factor": 2}, "space": values}
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def edit(content: dict[str, Any]) -> None:
        content["train"]["mlflow"] = {"tracking_uri": uri, "experiment": "trials"}
        content["search"] = search
        content["evaluate"].update(EVERYTHING)

    context = cleaned(FEATURES, SEARCH, EVALUATE, config=edit)
    assert left_since(before, ("pipelines.training.rank",)) == set()  # nor of the trial that was ended early
    trials = context.lake.read("search_trials").where(F.col("run_id") == context.run_id).orderBy("trial").collect()
    tried = {tuple(json.loads(row["values"]).values()): row for row in trials}
    assert {key: row.state for key, row in tried.items()} == {
        (0.003, "relu"): "done",
        (1e-9, "relu"): "pruned",
        (0.003, "rellu"): "failed",
        (1e-9, "rellu"): "failed",
    }
    assert "no activation 'rellu'" in tried[(0.003, "rellu")].error
    best, pruned = tried[(0.003, "relu")], tried[(1e-9, "relu")]
    assert (best.epochs, best.promoted, pruned.epochs, pruned.promoted) == (2, True, 1, False)
    assert best["value"] < pruned["value"]  # the validation loss

    trained, evaluated = context.runs.latest("train"), context.runs.latest("evaluate")
    assert trained is not None
    assert evaluated is not None
    check_evaluated(context, evaluated.artifacts)
    assert trained.run_id == context.run_id
    bundle = Bundle.open(trained.artifacts["model"])
    manifest = bundle.manifest
    assert manifest["train"]["optimizer"]["learning_rate"] == 0.003
    check_description(bundle, trained.inputs["features"])
    history = context.lake.read("training_history").where(F.col("run_id") == context.run_id).collect()
    assert {row.epoch for row in history} == {0, 1}
    assert min(row.validation_loss for row in history) == best["value"]
    folders = [path.name for path in Path(trained.artifacts["model"]).parent.iterdir()]
    assert folders == [f"trial-{best.trial:04d}"]  # those that lost are gone

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("trials")
    assert experiment is not None
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    assert {name: each.info.status for name, each in runs.items()} == {
        f"{context.run_id}/trial {row.trial}": "FINISHED" if row.state == "done" else "FAILED" for row in trials
    }
    of_best = runs[f"{context.run_id}/trial {best.trial}"]
    assert of_best.data.params["optimizer.learning_rate"] == "0.003"
    losses = client.get_metric_history(of_best.info.run_id, "validation_loss")
    assert [metric.value for metric in losses] == [row.validation_loss for row in sorted(history, key=lambda row: row.epoch)]


def check_evaluated(context: Context, artifacts: Mapping[str, str]) -> None:
    """Hold what evaluate wrote besides metrics against its predictions."""
    mine = F.col("run_id") == context.run_id
    metrics = context.lake.read("evaluation_metrics").where(mine & F.expr("split = 'test' and metric = 'auc'")).collect()
    by_name = {row.baseline: row for row in metrics}
    assert set(by_name) == {None, "trees"}
    assert all(row.low < row.value < row.high for row in metrics)
    [gain] = context.lake.read("model_differences").where(mine & F.expr("metric = 'auc'")).collect()
    assert gain.difference == pytest.approx(by_name[None].value - by_name["trees"].value, abs=1e-9)
    assert gain.low < gain.difference < gain.high
    test = context.lake.read("predictions").where(mine & F.expr("split = 'test'")).count()
    slices = context.lake.read("slice_metrics").where(mine & F.expr("metric in ('auc', 'suppressed')")).collect()
    rows = {(*(row.features), *(row["values"] or ())): row.rows for row in slices}
    assert sum(count for key, count in rows.items() if key[0:1] == ("origin",) and key[1:2] != ("airline",)) == test
    assert sum(count for key, count in rows.items() if key[:2] == ("origin", "airline")) == test
    assert {key[1] for key in rows if len(key) == 2 and key[1] != "airline"} == {"EWR", "JFK", "LGA"}
    importance = context.lake.read("feature_importance").where(mine).collect()
    assert len(importance) == context.lake.read("feature_stats").where("kind != 'label'").count()
    calibration = json.loads(Path(artifacts["calibration"]).read_text())
    assert calibration["values"] == sorted(calibration["values"])
    check_calibrated(context, artifacts["calibrated_model"], calibration["values"])
    report = Path(artifacts["report"]).read_text()
    for heading in ("Permutation importance", "Test rows by origin and airline", "Largest errors on test", "Configuration"):
        assert f"<h2>{heading}</h2>" in report


def check_calibrated(context: Context, uri: str, values: list[float]) -> None:
    """The copy of the bundle carries the calibration, the threshold and what both do to test rows."""
    bundle = Bundle.open(uri)
    assert bundle.calibration
    assert bundle.calibration.model_dump()["values"] == tuple(values)
    mine = context.lake.read("evaluation_metrics").where((F.col("run_id") == context.run_id) & F.expr("baseline is null"))
    metrics = {row.metric: row.value for row in mine.where("split = 'test'").collect()}
    assert (bundle.output_schema.calibration, bundle.output_schema.threshold) == ("isotonic", metrics["threshold"])
    before = {name: bundle.card["calibration"][name][0] for name in ("calibration_error", "log_loss")}
    assert before == pytest.approx({name: metrics[name] for name in before}, abs=1e-9)


@pytest.mark.slow
def test_a_search_without_a_trial_that_ends_is_exit_4_and_leaves_the_trials(cleaned: Run) -> None:
    values = {"network.activation": {"choices": ["rellu"]}, "optimizer.learning_rate": {"choices": [0.001, 0.002]}}
    before = cleaned(FEATURES).runs.latest("train")
    search = {"sampler": "grid", "trials": 2, "space": values}
    with pytest.raises(QualityError, match=r"none of 2 trials came to its end\. .*no activation 'rellu'"):
        cleaned(FEATURES, SEARCH, config=searching(**search))
    context = cleaned()
    failed = context.lake.read("runs").where("job = 'train' and status = 'failed'").select("run_id")
    assert [row.state for row in context.lake.read("search_trials").join(failed, "run_id").collect()] == ["failed", "failed"]
    assert context.runs.latest("train") == before
