"""What a training run is, as JSON: the one thing that a rank is given."""

from __future__ import annotations

from pipelines.config import Model, Task, TrainConfig
from pipelines.fitted import FittedSpec
from pipelines.training.plan import RowPlan

Value = float | str | list[float | None]
Raw = dict[str, Value | None]


class Sample(Model):
    """A row before and after Spark's transformation: raw values by feature (none where missing), features by column."""

    raw: Raw
    features: dict[str, float | list[float]]


class TrainingJob(Model):
    """A whole training run: configuration, fitted features, sampled rows that the model must make the same features
    of, the row plans of both splits, and where files go.
    """

    run_id: str
    pipeline: str
    config: TrainConfig
    task: Task
    horizon: int | None = None
    spec: FittedSpec
    samples: tuple[Sample, ...] = ()
    train: RowPlan
    validation: RowPlan
    checkpoints: str
    model: str
