"""A pipeline's configuration: frozen models of conf/*.yaml, in which an unknown key or a wrong type is an error."""

from pipelines.config.base import Interval, Model, midnight
from pipelines.config.drift import Bounds, DriftConfig
from pipelines.config.evaluate import ERRORS, METRICS, MONITORS, EvaluateConfig
from pipelines.config.features import KINDS, FeatureKind, FeaturesConfig, Windows
from pipelines.config.kinds import (
    Boolean,
    Bucketized,
    Categorical,
    Crossed,
    Cyclic,
    Hashed,
    Image,
    Numeric,
    Ordinal,
    Sequence,
    Target,
    Text,
    Time,
)
from pipelines.config.maintain import MaintainConfig
from pipelines.config.pipeline import CleanConfig, LakeConfig, Pipeline, SourceSection, explain, load, read_config
from pipelines.config.splits import ColumnSplit, EntitySplit, TimeSplit
from pipelines.config.task import Binary, Multiclass, Regression, Task
from pipelines.config.train import Convolution, Network, Optimizer, Recurrence, TrainConfig, Words

__all__ = [
    "ERRORS", "KINDS", "METRICS", "MONITORS",
    "Binary", "Boolean", "Bounds", "Bucketized", "Categorical", "CleanConfig", "ColumnSplit",
    "Convolution", "Crossed", "Cyclic", "DriftConfig", "EntitySplit", "EvaluateConfig", "FeatureKind", "FeaturesConfig",
    "Hashed", "Image", "Interval", "LakeConfig", "MaintainConfig", "Model", "Multiclass", "Network", "Numeric", "Optimizer",
    "Ordinal", "Pipeline", "Recurrence", "Regression", "Sequence", "SourceSection", "Target", "Task", "Text", "Time",
    "TimeSplit", "TrainConfig", "Windows", "Words", "explain", "load", "midnight", "read_config",
]  # fmt: skip
