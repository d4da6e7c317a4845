"""What a training run is, as JSON: the one thing that a rank is given."""

from __future__ import annotations

from pipelines.config import Model, TrainConfig
from pipelines.fitted import FittedSpec
from pipelines.training.plan import RowPlan


class TrainingJob(Model):
    """A whole training run: configuration, fitted features, the row plans of both splits, and where files go."""

    run_id: str
    pipeline: str
    config: TrainConfig
    spec: FittedSpec
    train: RowPlan
    validation: RowPlan
    checkpoints: str
    model: str
