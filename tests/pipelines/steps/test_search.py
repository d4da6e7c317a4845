"""A search: trials are trainings, those that fail or fall behind end alone, and the best one is the run of train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from mlflow import MlflowClient
from pyspark.sql import Column
from pyspark.sql import functions as F

from pipelines.errors import QualityError
from pipelines.runtime.context import Context
from pipelines.runtime.runs import Run as RunRow
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


class Searched(NamedTuple):
    """A search over two learning rates and two activations, of which one is misspelt, and evaluate after it."""

    context: Context
    trials: list[Any]
    train_run: RunRow
    evaluate_run: RunRow
    tracking_uri: str
    ranks_left: set[psutil.Process]

    def trial(self, learning_rate: float, activation: str) -> Any:
        """The trial with these values."""
        [trial] = [row for row in self.trials if tuple(json.loads(row["values"]).values()) == (learning_rate, activation)]
        return trial

    @property
    def mine(self) -> Column:
        """Whether a row of a table is this run's."""
        return F.col("run_id") == self.context.run_id

    def history(self) -> list[Any]:
        """The epochs of the best trial."""
        return self.context.lake.read("training_history").where(self.mine).orderBy("epoch").collect()


@pytest.fixture(scope="module")
def searched(cleaned: Run, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """Searches and evaluates once for all tests of the result."""
    before = running(("pipelines.training.rank",))
    values = {"optimizer.learning_rate": {"choices": [0.003, 1e-9]}, "network.activation": {"choices": ["relu", "rellu"]}}
    search = {"sampler": "grid", "seed": 5, "trials": 9, "halving": {"minimum_epochs": 1, "factor": 2}, "space": values}
    uri = f"sqlite:///{tmp_path_factory.mktemp('search') / 'mlflow.db'}"

    def edit(content: dict[str, Any]) -> None:
        content["train"]["mlflow"] = {"tracking_uri": uri, "experiment": "trials"}
        content["search"] = search
        content["evaluate"].update(EVERYTHING)

    context = cleaned(FEATURES, SEARCH, EVALUATE, config=edit)
    ranks_left = left_since(before, ("pipelines.training.rank",))
    trials = context.lake.read("search_trials").where(F.col("run_id") == context.run_id).orderBy("trial").collect()
    trained, evaluated = context.runs.latest("train"), context.runs.latest("evaluate")
    assert trained is not None
    assert evaluated is not None
    return Searched(context, trials, trained, evaluated, uri, ranks_left)


@pytest.mark.slow
def test_trials_end_done_pruned_or_failed_and_the_better_one_is_promoted(searched: Searched) -> None:
    assert {tuple(json.loads(row["values"]).values()): row.state for row in searched.trials} == {
        (0.003, "relu"): "done",
        (1e-9, "relu"): "pruned",
        (0.003, "rellu"): "failed",
        (1e-9, "rellu"): "failed",
    }
    assert "no activation 'rellu'" in searched.trial(0.003, "rellu").error
    best, pruned = searched.trial(0.003, "relu"), searched.trial(1e-9, "relu")
    assert (best.epochs, best.promoted, pruned.epochs, pruned.promoted) == (2, True, 1, False)
    assert best["value"] < pruned["value"]  # the validation loss


@pytest.mark.slow
def test_no_rank_and_no_files_of_lost_trials_remain(searched: Searched) -> None:
    assert searched.ranks_left == set()  # nor of the trial that was ended early
    folders = [path.name for path in Path(searched.train_run.artifacts["model"]).parent.iterdir()]
    assert folders == [f"trial-{searched.trial(0.003, 'relu').trial:04d}"]


@pytest.mark.slow
def test_the_best_trial_is_the_run_of_train_with_its_epochs(searched: Searched) -> None:
    assert searched.train_run.run_id == searched.context.run_id
    manifest = Bundle.open(searched.train_run.artifacts["model"]).manifest
    assert manifest["train"]["optimizer"]["learning_rate"] == 0.003
    history = searched.history()
    assert {row.epoch for row in history} == {0, 1}
    assert min(row.validation_loss for row in history) == searched.trial(0.003, "relu")["value"]


@pytest.mark.slow
def test_trials_are_runs_of_mlflow_with_their_values_and_losses(searched: Searched) -> None:
    client = MlflowClient(searched.tracking_uri)
    experiment = client.get_experiment_by_name("trials")
    assert experiment is not None
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    assert {name: each.info.status for name, each in runs.items()} == {
        f"{searched.context.run_id}/trial {row.trial}": "FINISHED" if row.state == "done" else "FAILED"
        for row in searched.trials
    }
    of_best = runs[f"{searched.context.run_id}/trial {searched.trial(0.003, 'relu').trial}"]
    assert of_best.data.params["optimizer.learning_rate"] == "0.003"
    losses = client.get_metric_history(of_best.info.run_id, "validation_loss")
    assert [metric.value for metric in losses] == [row.validation_loss for row in searched.history()]


@pytest.mark.slow
def test_the_models_inputs_are_described_by_the_contract(searched: Searched) -> None:
    fields = {field.name: field for field in Bundle.open(searched.train_run.artifacts["model"]).input_schema}
    assert (fields["distance"].unit, fields["distance"].minimum, fields["distance"].maximum) == ("miles", 1, 6000)
    assert fields["origin"].allowed == ("EWR", "JFK", "LGA")
    assert fields["origin_delay_1h"].from_history and not fields["temp"].from_history
    assert isinstance(fields["distance"].example, float)


@pytest.mark.slow
def test_the_models_card_names_its_data_and_metrics(searched: Searched) -> None:
    card = Bundle.open(searched.train_run.artifacts["model"]).card
    data = card["data"]
    assert data["feature_run"] == searched.train_run.inputs["features"]
    assert isinstance(data["features_snapshot"], int)
    assert set(data["rows"]) == {"train", "validation"}
    assert min(data["rows"].values()) > 0
    assert "CC0" in data["sources"]
    assert {"validation_loss", "validation_auc"} <= set(card["metrics"])


@pytest.mark.slow
def test_the_promoted_model_and_the_trees_have_metrics_and_a_difference(searched: Searched) -> None:
    lake = searched.context.lake
    metrics = lake.read("evaluation_metrics").where(searched.mine & F.expr("split = 'test' and metric = 'auc'")).collect()
    by_name = {row.baseline: row for row in metrics}
    assert set(by_name) == {None, "trees"}
    assert all(row.low < row.value < row.high for row in metrics)
    [gain] = lake.read("model_differences").where(searched.mine & F.expr("metric = 'auc'")).collect()
    assert gain.difference == pytest.approx(by_name[None].value - by_name["trees"].value, abs=1e-9)
    assert gain.low < gain.difference < gain.high


@pytest.mark.slow
def test_slices_cover_the_test_rows(searched: Searched) -> None:
    lake = searched.context.lake
    test = lake.read("predictions").where(searched.mine & F.expr("split = 'test'")).count()
    slices = lake.read("slice_metrics").where(searched.mine & F.expr("metric in ('auc', 'suppressed')")).collect()
    rows = {(*(row.features), *(row["values"] or ())): row.rows for row in slices}
    assert sum(count for key, count in rows.items() if key[0:1] == ("origin",) and key[1:2] != ("airline",)) == test
    assert sum(count for key, count in rows.items() if key[:2] == ("origin", "airline")) == test
    assert {key[1] for key in rows if len(key) == 2 and key[1] != "airline"} == {"EWR", "JFK", "LGA"}


@pytest.mark.slow
def test_every_feature_has_an_importance_and_the_report_its_sections(searched: Searched) -> None:
    lake = searched.context.lake
    importance = lake.read("feature_importance").where(searched.mine).collect()
    assert len(importance) == lake.read("feature_stats").where("kind != 'label'").count()
    report = Path(searched.evaluate_run.artifacts["report"]).read_text()
    for heading in ("Permutation importance", "Test rows by origin and airline", "Largest errors on test", "Configuration"):
        assert f"<h2>{heading}</h2>" in report


@pytest.mark.slow
def test_the_calibrated_copy_carries_calibration_threshold_and_what_both_do(searched: Searched) -> None:
    artifacts = searched.evaluate_run.artifacts
    calibration = json.loads(Path(artifacts["calibration"]).read_text())
    assert calibration["values"] == sorted(calibration["values"])
    bundle = Bundle.open(artifacts["calibrated_model"])
    assert bundle.calibration
    assert bundle.calibration.model_dump()["values"] == tuple(calibration["values"])
    own = searched.context.lake.read("evaluation_metrics").where(searched.mine & F.expr("baseline is null"))
    metrics = {row.metric: row.value for row in own.where("split = 'test'").collect()}
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
