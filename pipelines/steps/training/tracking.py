"""Training runs told to MLflow, where the configuration says so. The tables have all of it in any case."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pipelines.config import Mlflow
from pipelines.errors import ConfigError
from pipelines.messages import EpochReport
from pipelines.runtime.context import Context
from pipelines.training.job import TrainingJob

LOG = logging.getLogger(__name__)

FINISHED, FAILED = "FINISHED", "FAILED"
METRICS = ("train_loss", "learning_rate", "rows_per_second")
AT_ONCE = 100  # parameters a request
# By default MLflow asks a server that does not answer again for many minutes.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
LogEpoch = Callable[[EpochReport], None]


@contextmanager
def tracked(context: Context, job: TrainingJob, name: str = "") -> Iterator[LogEpoch]:
    """Gives what to tell each epoch's message, which does nothing without a section `train.mlflow`.

    A server that does not answer ends the telling, not the training. Raises ConfigError when the package is not there.
    """
    config = job.config.mlflow
    if config is None:
        yield lambda _: None
        return
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError(
            "train.mlflow: the package mlflow is not installed; expected it, or mlflow-skinny. Install one of them."
        )
    run = _Run(config, context, job, name)
    try:
        yield run.log_epoch
    except BaseException as error:
        run.end(FAILED, {"error": str(error) or type(error).__name__})
        raise
    run.end(FINISHED, {"model": job.model})


class _Run:
    """One run of MLflow's. A thread of its own talks to the server, so that nobody waits for it but at the end."""

    def __init__(self, config: Mlflow, context: Context, job: TrainingJob, name: str) -> None:
        self._logged: set[int] = set()
        self._error: Exception | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        tags = {
            "pipeline": job.pipeline,
            "ringmill_run": job.run_id,
            "interval_from": f"{context.bounds[0]:%Y-%m-%dT%H:%M:%S%z}",
            "interval_to": f"{context.bounds[1]:%Y-%m-%dT%H:%M:%S%z}",
        }
        named = f"{job.run_id}/{name}" if name else job.run_id
        self._later(self._begin, config, job.pipeline, named, tags, flat(job.config.model_dump(mode="json")))

    def log_epoch(self, report: EpochReport) -> None:
        """Log an epoch's metrics, once for each epoch."""
        if report.epoch not in self._logged:
            self._logged.add(report.epoch)
            self._later(self._log, report)

    def end(self, status: str, tags: dict[str, str]) -> None:
        """Close the run, and say what went wrong with the telling."""
        self._later(self._close, status, tags)
        self._thread.shutdown()
        if self._error:
            message = f"    MLflow did not get all: {type(self._error).__name__}: {self._error}"
            LOG.warning(message)

    def _later(self, work: Callable[..., None], *arguments: Any) -> None:
        self._thread.submit(self._unless_failed, work, *arguments)

    def _unless_failed(self, work: Callable[..., None], *arguments: Any) -> None:
        if self._error is None:
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001 (whatever it is, the training goes on)
                self._error = error

    def _begin(self, config: Mlflow, pipeline: str, name: str, tags: dict[str, str], parameters: dict[str, str]) -> None:
        for key, value in PATIENCE.items():
            os.environ.setdefault(key, value)
        from mlflow import MlflowClient
        from mlflow.entities import Param

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._client = MlflowClient(config.tracking_uri)
        run = self._client.create_run(self._experiment(config.experiment or pipeline), tags=tags, run_name=name)
        self._id = run.info.run_id
        items = [Param(key, value) for key, value in parameters.items()]
        for start in range(0, len(items), AT_ONCE):
            self._client.log_batch(self._id, params=items[start : start + AT_ONCE])

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.create_experiment(name))
        except MlflowException:  # it is there, most of the time
            if (experiment := self._client.get_experiment_by_name(name)) is None:
                raise
            return str(experiment.experiment_id)

    def _log(self, report: EpochReport) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        values = {**{name: getattr(report, name) for name in METRICS}, **report.validation()}
        now = get_current_time_millis()
        self._client.log_batch(self._id, metrics=[Metric(name, value, now, report.epoch) for name, value in values.items()])

    def _close(self, status: str, tags: dict[str, str]) -> None:
        for key, value in tags.items():
            self._client.set_tag(self._id, key, value)
        self._client.set_terminated(self._id, status)


def flat(section: dict[str, Any], above: str = "") -> dict[str, str]:
    """A section's values by their dotted paths, lists as JSON."""
    values: dict[str, str] = {}
    for key, value in section.items():
        if isinstance(value, dict) and value:
            values |= flat(value, f"{above}{key}.")
        else:
            values[f"{above}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return values
