"""A pipeline's configuration: frozen models of conf/*.yaml, in which an unknown key or a wrong type is an error."""

from pipelines.config.base import Interval, Model, midnight
from pipelines.config.drift import Bounds, DriftConfig
from pipelines.config.evaluate import METRICS, EvaluateConfig
from pipelines.config.features import (
    KINDS,
    Boolean,
    Bucketized,
    Categorical,
    ColumnSplit,
    Crossed,
    Cyclic,
    EntitySplit,
    FeaturesConfig,
    Numeric,
    Ordinal,
    TimeSplit,
)
from pipelines.config.maintain import MaintainConfig
from pipelines.config.pipeline import CleanConfig, LakeConfig, Pipeline, SourceSection, explain, load, read_config
from pipelines.config.train import Network, Optimizer, TrainConfig

__all__ = [
    "KINDS", "METRICS", "Boolean", "Bounds", "Bucketized", "Categorical", "CleanConfig", "ColumnSplit", "Crossed",
    "Cyclic", "DriftConfig", "EntitySplit", "EvaluateConfig", "FeaturesConfig", "Interval", "LakeConfig",
    "MaintainConfig", "Model", "Network", "Numeric", "Optimizer", "Ordinal", "Pipeline", "SourceSection", "TimeSplit",
    "TrainConfig", "explain", "load", "midnight", "read_config",
]  # fmt: skip
