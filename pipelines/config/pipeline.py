"""One pipeline's configuration, whole, and how it is read from its file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from pipelines.config.base import WHOLE, Interval
from pipelines.config.drift import DriftConfig
from pipelines.config.evaluate import METRICS, MONITORS, EvaluateConfig
from pipelines.config.features import FeaturesConfig
from pipelines.config.keras_names import check_keras_names
from pipelines.config.loading import load_contracts
from pipelines.config.losses import check_loss, weights_by_label
from pipelines.config.maintain import MaintainConfig
from pipelines.config.notify import NotifyConfig
from pipelines.config.openlineage import OpenLineageConfig
from pipelines.config.packages import Package, check_declared
from pipelines.config.problems import explain, shortened
from pipelines.config.registry import RegistryConfig, check_registry
from pipelines.config.schedule import ScheduleConfig
from pipelines.config.search import SearchConfig, check_search
from pipelines.config.spark import SparkConfig
from pipelines.config.status import StatusConfig
from pipelines.config.task import Binary, Regression, Task
from pipelines.config.train import TrainConfig
from pipelines.config.yaml_files import read_yaml
from pipelines.errors import ConfigError
from pipelines.model import Model, Share, TimeZone
from schemas.contract import Table

TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", description="name of letters, digits and _")]


class LakeConfig(Model):
    """Where tables, models and reports lie."""

    warehouse: str
    """Folder or URI of all tables, models and reports. A relative path counts from the folder in which a job is started."""
    catalog: dict[str, str] = {}
    """Iceberg's own catalog properties; `${NAME}` is an environment variable. Without any the catalog is SQLite under the
    warehouse.
    """


class SourceSection(Model):
    """Where one source's rows come from: its kind, and the settings that this kind has (pipelines.io.sources.kinds)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str
    """Kind of the source, which decides what other settings there are."""


class CleanConfig(Model):
    """How many rows may be quarantined before a run fails, and the key that hashes personal columns."""

    max_quarantined_share: Share = 0.05
    """Greatest share of rows that may be quarantined: of a source, of the labelled rows that become features, of the rows that
    predict scores. With more the run fails (exit 3).
    """
    hash_key: str | None = None
    """Name of the environment variable with the key that hashes personal columns. Needed where a contract hashes a column."""


class Pipeline(Model):
    """One pipeline, whole: the content of one conf/*.yaml."""

    pipeline: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the pipeline, and of the namespace of its tables."""
    title: str = ""
    """What it predicts, as reports and model cards show it. Without it they show `pipeline`."""
    timezone: TimeZone = "UTC"
    """Time zone of dates and times that name none: the interval, `--from`, `--to`, the days of a split."""
    interval: Interval = WHOLE
    """What a job works on unless `--from` and `--to` say otherwise. Without it the data is one whole, with no time."""
    lake: LakeConfig
    """Where tables, models and reports lie."""
    packages: Annotated[tuple[Package, ...], Field(min_length=1)] | None = None
    """Packages whose code the configuration may run: `contracts`, `features.derive` and `train.network.build` name modules in
    them. Without it modules of your own, `schemas` and `pipelines.stages` run, but neither Python's standard library nor
    ringmill's other modules.
    """
    contracts: str
    """Module with the contracts: SOURCES, a dict by source, and EXAMPLES."""
    sources: Annotated[dict[TableName, SourceSection], Field(min_length=1)]
    """Where rows come from, by source. Each source has a contract of its name, and tables that are named after it."""
    clean: CleanConfig = CleanConfig()
    """How clean rows have to be, and how personal columns are hashed."""
    features: FeaturesConfig
    """How clean rows become the network's inputs."""
    task: Task = Binary()
    """What is predicted."""
    drift: DriftConfig = DriftConfig()
    """How far features may move from the train split."""
    train: TrainConfig = TrainConfig()
    """How the network is trained."""
    search: SearchConfig | None = None
    """What jobs/search.py tries. Needed by that job alone."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """How the model is evaluated, and what it has to reach."""
    registry: RegistryConfig = RegistryConfig()
    """What a model has to pass before it is used."""
    maintain: MaintainConfig = MaintainConfig()
    """What jobs/maintain.py removes and brings together."""
    status: StatusConfig = StatusConfig()
    """How old data and runs may be before jobs/status.py calls them stale."""
    notify: NotifyConfig | None = None
    """The webhook that is called on a failure, drift or stale data. Without it none is."""
    openlineage: OpenLineageConfig | None = None
    """Where lineage events of runs go, in OpenLineage's format. Without it none are sent."""
    spark: SparkConfig = SparkConfig()
    """Spark's event log and its metrics for Prometheus. All other settings are Spark's own, in conf/spark."""
    schedule: ScheduleConfig | None = None
    """When Airflow runs the pipeline. Without it there is no DAG of it."""

    @property
    def horizon(self) -> int | None:
        """How many values a label has, where it has more than itself."""
        windows = self.features.windows
        return windows.horizon if windows and windows.label else None

    @property
    def baselines(self) -> tuple[str, ...]:
        """The names of all baselines: SQL over the examples, then what is fitted beside the model."""
        boosting = self.evaluate.gradient_boosting
        return (*self.features.baselines, *((boosting.name,) if boosting else ()))

    @model_validator(mode="after")
    def _in_order(self) -> Pipeline:
        try:
            self.interval.located(self.timezone)
        except ValidationError as error:  # one bound names its zone, the other does not
            raise ValueError(f"interval: {error.errors()[0]['ctx']['error']}") from None
        return self

    @model_validator(mode="after")
    def _in_declared_packages(self) -> Pipeline:
        check_declared(self.contracts, "contracts", self.packages)
        check_declared(self.features.derive, "features.derive", self.packages)
        return self

    @model_validator(mode="after")
    def _of_the_task(self) -> Pipeline:
        kind, metrics = self.task.kind, METRICS[self.task.kind]
        if self.train.monitor not in ("validation_loss", MONITORS[kind]):
            raise ValueError(
                f"train.monitor is {self.train.monitor}; expected validation_loss or {MONITORS[kind]} for a {kind} task"
            )
        self._check_train(self.train)
        check_keras_names(self.train)
        if self.search:
            check_search(self.search, self.train, self._check_train)
        for key in ("yardstick", "minimum", "maximum"):
            if unknown := sorted(set(getattr(self.evaluate, key)) - set(metrics)):
                raise ValueError(
                    f"evaluate.{key}: {', '.join(unknown)} is no metric of a {kind} task; expected some of {', '.join(metrics)}"
                )
        check_registry(self.registry, kind)
        if self.horizon and not isinstance(self.task, Regression):
            raise ValueError(f"features.windows.label needs a regression task; task.kind is {kind}")
        if (self.features.target and kind == "multiclass") or (self.features.target and self.horizon):
            raise ValueError("features.target needs a label that is one number; expected a binary or a regression task")
        self._check_evaluate()
        return self

    def _check_train(self, train: TrainConfig) -> None:
        if train.network.build:
            check_declared(train.network.build, "train.network.build", self.packages)
        check_loss(train.loss, self.task)
        weights_by_label(train.class_weights, self.task)

    def _check_evaluate(self) -> None:
        features = self.features
        boosting = self.evaluate.gradient_boosting
        if boosting and boosting.name in features.baselines:
            raise ValueError(f"evaluate.gradient_boosting.name: {boosting.name} is one of features.baselines; expected another")
        if boosting and (features.text or self.horizon):
            raise ValueError("evaluate.gradient_boosting: it takes no texts and no label with a horizon; expected none")
        if self.evaluate.calibration and self.task.kind != "binary":
            raise ValueError(f"evaluate.calibration: it is of a binary task's scores; task.kind is {self.task.kind}")

    def contract(self, source: str) -> Table:
        """The contract of one source; raises ConfigError when the contracts' module has none of that name."""
        tables = load_contracts(self.contracts)
        if source not in tables:
            raise ConfigError(
                f"sources.{source}: no contract of that name in {self.contracts}; expected one of {', '.join(tables)}."
            )
        return tables[source]

    def digest(self, *sections: str) -> str:
        """SHA-256 of the named sections (of everything when none is named): what identifies a configuration."""
        content = self.model_dump(mode="json", include=set(sections) or None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_config(path: Path) -> Pipeline:
    """Read one pipeline's YAML file. `extends` names another, from the same folder, whose sections it takes over but for the
    entries that it gives itself.

    Raises ConfigError, which names each wrong key, what was expected there and what was received.
    """
    content = read_yaml(path)
    if isinstance(content, dict) and "extends" in content:
        content = _extended(_base_of(content["extends"], path), content, path)
    try:
        return Pipeline.model_validate(content)
    except ValidationError as error:
        problems = shortened(explain(error, Pipeline))
        raise ConfigError(f"config {path.absolute()}: {problems} Fix it there.") from error


def _base_of(name: object, path: Path) -> Any:
    if not isinstance(name, str) or not name or Path(name).name != name or name == "..":
        raise ConfigError(
            f"config {path.absolute()}: extends: expected the name of a file in the same folder; received {name!r}."
        )
    return read_yaml(path.parent / name)


def _extended(base: Any, content: dict[str, Any], path: Path) -> dict[str, Any]:
    overrides = {key: value for key, value in content.items() if key != "extends"}
    if not isinstance(base, dict) or "extends" in base:
        raise ConfigError(
            f"config {path.absolute()}: extends: {content['extends']} is no whole configuration; expected a file in the same "
            f"folder that extends no other. Name one."
        )
    both = {
        key: {**base[key], **overrides[key]}
        for key in overrides
        if isinstance(base.get(key), dict) and isinstance(overrides[key], dict)
    }
    return {**base, **overrides, **both}
