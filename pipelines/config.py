"""A pipeline's configuration: frozen models of conf/*.yaml, in which an unknown key or a wrong type is an error."""

from __future__ import annotations

import hashlib
import importlib
import json
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.errors import ConfigError
from schemas.contract import ContractError, Table

Imputer = Literal["mean", "median"] | float
Scaler = Literal["zscore", "minmax", "robust", "none"]
METRICS = ("auc", "average_precision", "log_loss", "brier", "calibration_error", "accuracy", "precision", "recall", "f1")
Share = Annotated[float, Field(ge=0, le=1)]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone '{name}'; expected an IANA name such as America/New_York") from error
    return name


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"unknown metric '{name}'; expected one of {', '.join(METRICS)}")
    return name


Metric = Annotated[str, AfterValidator(_known_metric)]


class Model(BaseModel):
    """Base of all configuration: immutable, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Interval(Model):
    """A half-open span of time, [start, end), in the pipeline's own time zone where a value names none."""

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.start >= self.end:
            raise ValueError(f"from ({self.start}) must be before to ({self.end})")
        return self

    def located(self, zone: str) -> Interval:
        """The same interval with each bound placed in `zone` unless it carries a zone already."""
        start, end = (bound if bound.tzinfo else bound.replace(tzinfo=ZoneInfo(zone)) for bound in (self.start, self.end))
        return Interval(start=start, end=end)


class LakeConfig(Model):
    """Where tables live. `catalog` holds Iceberg's own catalog properties; empty means SQLite under the warehouse."""

    warehouse: str
    catalog: dict[str, str] = {}


class Source(Model):
    """Where one source's rows come from."""

    kind: Literal["csv"]
    path: str


class CleanConfig(Model):
    """How much of a source may be quarantined before the run fails."""

    max_quarantined_share: Share = 0.05


class Numeric(Model):
    """A number: what stands in for a missing one, an optional log1p or clip first, how it is scaled."""

    impute: Imputer = "median"
    clip: tuple[float, float] | None = None
    log1p: bool = False
    scale: Scaler = "zscore"


class Categorical(Model):
    """A word: ids by frequency, 0 for the unknown; rarer than `min_count` in the train split is unknown too."""

    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] = 1000


class Cyclic(Model):
    """A number that comes round again every `period`: its sine and cosine."""

    period: Annotated[float, Field(gt=0)]


class TimeSplit(Model):
    """Train before `validation_from`, validation before `test_from`, test from there on."""

    validation_from: date
    test_from: date

    @model_validator(mode="after")
    def _ordered(self) -> TimeSplit:
        if self.validation_from >= self.test_from:
            raise ValueError(f"validation_from ({self.validation_from}) must be before test_from ({self.test_from})")
        return self


class FeaturesConfig(Model):
    """How rows become numbers: the source whose rows are the examples, the function that joins and derives, the split, and
    one declared spec of features.
    """

    rows_of: str
    derive: str
    parameters: dict[str, int | float | str] = {}
    split: TimeSplit
    numeric: dict[str, Numeric] = {}
    categorical: dict[str, Categorical] = {}
    cyclic: dict[str, Cyclic] = {}

    @model_validator(mode="after")
    def _named_once(self) -> FeaturesConfig:
        names = [*self.numeric, *self.categorical, *self.cyclic]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"declared under two kinds: {', '.join(repeated)}")
        if not names:
            raise ValueError("no feature is declared; expected at least one under numeric, categorical or cyclic")
        return self


class Network(Model):
    """A multi-layer perceptron over the numeric features and one embedding for each categorical one."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (256, 128)
    activation: str = "relu"
    initializer: str = "he_normal"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    embedding_size: Annotated[int, Field(ge=1)] = 8


class Optimizer(Model):
    """A Keras optimizer by its class name, its learning rate, and how that decays over the run."""

    name: str = "Adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    options: dict[str, float | bool] = {}


class TrainConfig(Model):
    """The training run: ranks, batch, epochs, network, and where the ranks call back."""

    ranks: Annotated[int, Field(ge=1)] = 2
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1, description="rows a rank and step")] = 1024
    steps_per_call: Annotated[int, Field(ge=1)] = 16
    shuffle_rows: Annotated[int, Field(ge=1, description="rows in a rank's shuffle buffer")] = 65536
    seed: int = 20130101
    monitor: Literal["validation_loss", "validation_auc"] = "validation_auc"
    network: Network = Network()
    optimizer: Optimizer = Optimizer()
    channel_port: Annotated[int, Field(ge=0, le=65535)] = 0
    start_timeout_seconds: Annotated[float, Field(gt=0)] = 120
    stall_timeout_seconds: Annotated[int, Field(gt=0)] = 60


class EvaluateConfig(Model):
    """How the model is judged: what picks the threshold on validation, the names of the two classes, another model's figures
    on test to stand beside, and the least that each metric must reach on test.
    """

    threshold_by: Literal["f1"] = "f1"
    calibration_bins: Annotated[int, Field(ge=2)] = 10
    classes: tuple[str, str] = ("negative", "positive")
    yardstick_name: str = ""
    yardstick: dict[Metric, float] = {}
    minimum: dict[Metric, float] = {}


class Pipeline(Model):
    """One pipeline, whole: the content of one conf/*.yaml."""

    pipeline: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str = ""
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    interval: Interval
    lake: LakeConfig
    contracts: str
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    clean: CleanConfig = CleanConfig()
    features: FeaturesConfig
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

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
    """Read one pipeline's YAML file.

    Raises ConfigError, which names each wrong key, what was expected there and what was received.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be read: {error.strerror}. Give an existing file with --config.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path}: not valid YAML: {error}") from error
    try:
        return Pipeline.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"config {path} is wrong:\n" + "\n".join(_explain(error))) from error


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"]) or "(the whole file)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {where}: unknown key. Remove it, or mend its spelling.")
        else:
            lines.append(f"  {where}: {problem['msg']}; received {problem['input']!r}.")
    return lines


def midnight(day: date, zone: str) -> datetime:
    """The first instant of a day in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(zone))
