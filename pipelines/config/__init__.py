"""A pipeline's configuration: frozen models of conf/*.yaml, in which an unknown key or a wrong type is an error."""

from pipelines.config import kinds
from pipelines.config.base import Interval, Model, midnight
from pipelines.config.drift import Bounds, DriftConfig
from pipelines.config.evaluate import METRICS, MONITOR_NAMES, MONITORS, EvaluateConfig
from pipelines.config.features import KINDS, FeaturesConfig, Windows
from pipelines.config.maintain import MaintainConfig
from pipelines.config.pipeline import CleanConfig, LakeConfig, Pipeline, SourceSection, explain, load, read_config
from pipelines.config.splits import ColumnSplit, EntitySplit, TimeSplit
from pipelines.config.task import Binary, Multiclass, Regression, Task
from pipelines.config.train import Convolution, Network, Optimizer, Recurrence, TrainConfig, Words

__all__ = [
    "KINDS", "METRICS", "MONITORS", "MONITOR_NAMES",
    "Binary", "Bounds", "CleanConfig", "ColumnSplit", "Convolution", "DriftConfig",
    "EntitySplit", "EvaluateConfig", "FeaturesConfig", "Interval", "LakeConfig", "MaintainConfig", "Model", "Multiclass",
    "Network", "Optimizer", "Pipeline", "Recurrence", "Regression", "SourceSection", "Task", "TimeSplit", "TrainConfig",
    "Windows", "Words", "explain", "kinds", "load", "midnight", "read_config",
]  # fmt: skip
