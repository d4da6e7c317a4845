"""What MLflow hears of a training; a server that hears nothing costs no training."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mlflow import MlflowClient

from pipelines.config import TrainConfig
from pipelines.errors import ConfigError, RankError
from pipelines.messages import EpochReport
from pipelines.runtime.context import Context
from pipelines.steps.training.tracking import tracked
from pipelines.training.job import TrainingJob
from setup.postgres import free_port


def job(**mlflow: Any) -> TrainingJob:
    """A training that says so much of itself as MLflow hears."""
    config = TrainConfig.model_validate({"epochs": 3, "optimizer": {"options": {"beta_1": 0.8}}, "mlflow": mlflow or None})
    return cast("TrainingJob", SimpleNamespace(config=config, pipeline="flights", run_id="run7", model="s3://lake/models/run7"))


def context() -> Context:
    """What a step knows."""
    bounds = (datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC))
    return cast("Context", SimpleNamespace(bounds=bounds))


def epoch(number: int) -> EpochReport:
    """An epoch's report."""
    return EpochReport(
        epoch=number,
        train_loss=1.0 - number / 4,
        validation_loss=0.5,
        validation_auc=0.7 + number / 10,
        learning_rate=1e-3,
        rows=100,
        steps=10,
        seconds=1e-3,
        rows_per_second=1e5,
        best=True,
    )


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """MLflow's store on SQLite."""
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_parameters_and_epochs_are_logged_once_and_the_run_has_ended(uri: str) -> None:
    with tracked(context(), job(tracking_uri=uri)) as log_epoch:
        for number in (0, 1, 1):
            log_epoch(epoch(number))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("flights")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run7", "FINISHED")
    assert {"pipeline": "flights", "interval_from": "2013-01-01T00:00:00+0000", "model": "s3://lake/models/run7"}.items() <= (
        run.data.tags.items()
    )
    assert {"epochs": "3", "optimizer.options.beta_1": "0.8", "network.hidden": "[256, 128]"}.items() <= run.data.params.items()
    history = client.get_metric_history(run.info.run_id, "validation_auc")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.7), (1, pytest.approx(0.8))]
    assert {"train_loss", "validation_loss", "learning_rate", "rows_per_second"} < set(run.data.metrics)


def test_a_training_that_fails_is_logged_as_failed(uri: str) -> None:
    def fail(name: str) -> None:
        with tracked(context(), job(tracking_uri=uri, experiment="mine"), name) as log_epoch:
            log_epoch(epoch(0))
            raise RankError("rank 1 died")

    for name in ("", "trial 2"):
        with pytest.raises(RankError, match="rank 1 died"):
            fail(name)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("mine")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {(run.info.run_name, run.info.status, run.data.tags["error"]) for run in runs} == {
        ("run7", "FAILED", "rank 1 died"),
        ("run7/trial 2", "FAILED", "rank 1 died"),
    }


def test_a_server_that_does_not_answer_costs_a_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with tracked(context(), job(tracking_uri=f"http://127.0.0.1:{free_port()}")) as log_epoch:
        log_epoch(epoch(0))
    [warning] = [record for record in caplog.records if record.name.startswith("pipelines")]
    assert (warning.levelname, "\n" in warning.getMessage()) == ("WARNING", False)
    assert warning.getMessage().startswith("    MLflow did not get all: MlflowException: API request to http://127.0.0.1")


def test_without_a_section_nothing_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with tracked(context(), job()) as log_epoch:
        log_epoch(epoch(0))
    assert caplog.records == []


def test_without_the_package_a_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="the package mlflow is not installed"), tracked(context(), job(experiment="e")):
        pass


@pytest.mark.parametrize("uri", ["http://me:secret@host:5000", "postgresql://me:secret@host/mlflow"])
def test_a_password_in_the_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"holds a password.*MLFLOW_TRACKING_PASSWORD"):
        job(tracking_uri=uri)
