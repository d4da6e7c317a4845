"""A pipeline's configuration: frozen models of conf/*.yaml, in which an unknown key or a wrong type is an error."""

from pipelines.config.base import WHOLE, Interval, midnight
from pipelines.config.drift import DriftBounds, DriftConfig
from pipelines.config.evaluate import (
    LOWER_IS_BETTER,
    METRICS,
    MONITOR_NAMES,
    MONITORS,
    NEITHER_IS_BETTER,
    Costs,
    EvaluateConfig,
    GradientBoosting,
    score_of,
)
from pipelines.config.features import FeaturesConfig, Windows
from pipelines.config.lengths import Length, before
from pipelines.config.loading import load, load_examples
from pipelines.config.losses import (
    Absolute,
    ClassWeights,
    CrossEntropy,
    Focal,
    Huber,
    Loss,
    Quantile,
    Squared,
    weights_by_label,
)
from pipelines.config.maintain import MaintainConfig
from pipelines.config.network import Convolution, Network, Recurrence, TextLayers, Uniform
from pipelines.config.notify import NotifyConfig
from pipelines.config.optimizer import Optimizer, Plateau
from pipelines.config.pipeline import CleanConfig, LakeConfig, Pipeline, SourceSection, read_config
from pipelines.config.problems import explain, one_line, shortened
from pipelines.config.registry import ChampionGate, DriftGate, RegistryConfig
from pipelines.config.search import Choices, Halving, SearchConfig, Span, replaced
from pipelines.config.splits import ColumnSplit, EntitySplit, TimeSplit
from pipelines.config.status import StatusConfig
from pipelines.config.task import Binary, Multiclass, Regression, Task, Transform
from pipelines.config.train import Mlflow, TrainConfig
from pipelines.features.kinds.registry import KINDS
from pipelines.model import Model

__all__ = [
    "KINDS", "LOWER_IS_BETTER", "METRICS", "MONITORS", "MONITOR_NAMES", "NEITHER_IS_BETTER", "WHOLE",
    "Absolute", "Binary", "ChampionGate", "Choices", "ClassWeights", "CleanConfig", "ColumnSplit",
    "Convolution", "Costs", "CrossEntropy", "DriftBounds", "DriftConfig", "DriftGate", "EntitySplit", "EvaluateConfig",
    "FeaturesConfig", "Focal", "GradientBoosting", "Halving", "Huber", "Interval", "LakeConfig", "Length", "Loss",
    "MaintainConfig", "Mlflow", "Model", "Multiclass", "Network", "NotifyConfig", "Optimizer", "Pipeline", "Plateau",
    "Quantile", "Recurrence", "RegistryConfig", "Regression", "SearchConfig", "SourceSection", "Span", "Squared",
    "StatusConfig", "Task", "TextLayers", "TimeSplit", "TrainConfig", "Transform", "Uniform", "Windows", "before", "explain",
    "load", "load_examples", "midnight", "one_line", "read_config", "replaced", "score_of", "shortened", "weights_by_label",
]  # fmt: skip
