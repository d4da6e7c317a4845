"""One pipeline's configuration, whole, and how it is read from its file."""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from pipelines.config.base import Interval, Model, Share, TimeZone
from pipelines.config.drift import DriftConfig
from pipelines.config.evaluate import METRICS, MONITORS, EvaluateConfig
from pipelines.config.features import FeaturesConfig
from pipelines.config.losses import check_loss, weights_by_label
from pipelines.config.maintain import MaintainConfig
from pipelines.config.problems import explain
from pipelines.config.search import SearchConfig, check_search
from pipelines.config.task import Binary, Regression, Task
from pipelines.config.train import TrainConfig
from pipelines.errors import ConfigError
from schemas.contract import ContractError, Table


class LakeConfig(Model):
    """Where tables live. `catalog` holds Iceberg's own catalog properties, `${NAME}` for an environment variable; empty means
    SQLite under the warehouse.
    """

    warehouse: str
    catalog: dict[str, str] = {}


class SourceSection(Model):
    """Where one source's rows come from: its kind, and the settings that this kind has (pipelines.io.sources)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


class CleanConfig(Model):
    """How much of a source, or of the labelled rows that become features, may be quarantined before the run fails, and the name
    of the environment variable that holds the key by which personal columns are hashed.
    """

    max_quarantined_share: Share = 0.05
    hash_key: str | None = None


class Pipeline(Model):
    """One pipeline, whole: the content of one conf/*.yaml."""

    pipeline: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str = ""
    timezone: TimeZone = "UTC"
    interval: Interval
    lake: LakeConfig
    contracts: str
    sources: Annotated[dict[str, SourceSection], Field(min_length=1)]
    clean: CleanConfig = CleanConfig()
    features: FeaturesConfig
    task: Task = Binary()
    drift: DriftConfig = DriftConfig()
    train: TrainConfig = TrainConfig()
    search: SearchConfig | None = None
    evaluate: EvaluateConfig = EvaluateConfig()
    maintain: MaintainConfig = MaintainConfig()

    @property
    def horizon(self) -> int | None:
        """How many values a label has, where it has more than itself."""
        windows = self.features.windows
        return windows.horizon if windows and windows.label else None

    @model_validator(mode="after")
    def _of_the_task(self) -> Pipeline:
        kind, metrics = self.task.kind, METRICS[self.task.kind]
        if self.train.monitor not in ("validation_loss", MONITORS[kind]):
            raise ValueError(
                f"train.monitor is {self.train.monitor}; expected validation_loss or {MONITORS[kind]} for a {kind} task"
            )
        self._check_train(self.train)
        if self.search:
            check_search(self.search, self.train, self._check_train)
        for key in ("yardstick", "minimum", "maximum"):
            if wrong := sorted(set(getattr(self.evaluate, key)) - set(metrics)):
                raise ValueError(
                    f"evaluate.{key}: {', '.join(wrong)} is no metric of a {kind} task; expected some of {', '.join(metrics)}"
                )
        if self.horizon and not isinstance(self.task, Regression):
            raise ValueError(f"features.windows.label needs a regression task; task.kind is {kind}")
        if (self.features.target and kind == "multiclass") or (self.features.target and self.horizon):
            raise ValueError("features.target needs a label that is one number; expected a binary or a regression task")
        return self

    def _check_train(self, train: TrainConfig) -> None:
        check_loss(train.loss, self.task)
        weights_by_label(train.class_weights, self.task)

    def contract(self, source: str) -> Table:
        """The contract of one source; raises ConfigError when the contracts' module has none of that name."""
        tables: dict[str, Table] = load(f"{self.contracts}:SOURCES", "contracts")
        if source not in tables:
            raise ConfigError(
                f"sources.{source}: no contract of that name in {self.contracts}; expected one of {', '.join(tables)}."
            )
        return tables[source]

    def digest(self, *sections: str) -> str:
        """SHA-256 of the named sections (of everything when none is named): what identifies a configuration."""
        content = self.model_dump(mode="json", include=set(sections) or None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load(path: str, key: str) -> Any:
    """The object at a dotted `module:attribute` path; raises ConfigError that names the configuration key."""
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ContractError as error:
        raise ConfigError(f"{key}: {error}") from error
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: cannot load '{path}': {error}. Expected 'module:name' of something importable.") from error


def read_config(path: Path) -> Pipeline:
    """Read one pipeline's YAML file. `extends` names another, from the same folder, whose sections it takes over but for the
    entries that it gives itself.

    Raises ConfigError, which names each wrong key, what was expected there and what was received.
    """
    content = _read_yaml(path)
    if isinstance(content, dict) and "extends" in content:
        content = _extended(_read_yaml(path.parent / str(content["extends"])), content)
    try:
        return Pipeline.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"config {path} is wrong:\n" + "\n".join(explain(error, Pipeline))) from error


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be read: {error.strerror}. Give an existing file with --config.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path}: not valid YAML: {error}") from error


def _extended(base: Any, content: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in content.items() if key != "extends"}
    if not isinstance(base, dict) or "extends" in base:
        raise ConfigError(f"extends: {content['extends']} is no whole configuration. Name one that extends no other.")
    both = {key: {**base[key], **own[key]} for key in own if isinstance(base.get(key), dict) and isinstance(own[key], dict)}
    return {**base, **own, **both}
