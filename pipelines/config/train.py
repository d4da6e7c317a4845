"""The section `train`: network, optimizer and ranks."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from pipelines.config.losses import ClassWeights, Loss
from pipelines.config.network import Network
from pipelines.config.optimizer import Optimizer
from pipelines.model import Model


def _without_password(uri: str) -> str:
    if urlsplit(uri).password:
        raise ValueError(
            "the uri holds a password, which configurations and models would carry on; expected one without, and "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the whole as MLFLOW_TRACKING_URI"
        )
    return uri


TrackingUri = Annotated[str, AfterValidator(_without_password)]


class Mlflow(Model):
    """Where MLflow hears of each training: by default where MLFLOW_TRACKING_URI says, under the pipeline's name."""

    tracking_uri: TrackingUri | None = None
    experiment: Annotated[str, Field(min_length=1)] | None = None


class TrainConfig(Model):
    """The training run: ranks, batch, epochs, loss, network, and where the ranks call back. With `patience` it ends once so
    many epochs have passed without a better one by what `monitor` names.

    `tensorboard` keeps scalars for it, `timeline` Horovod's trace of every all-reduce, which is long; with `mlflow` it hears of
    parameters and epochs.

    `class_weights` multiply what rows of a class add to the loss that is trained on; the validation loss has no weights. A rank
    works a step's gradient out in `accumulation` parts, of which one is in memory at a time. `compression` halves what ranks
    send each other. float16 is no `precision`, since small gradients vanish in it unless losses are scaled; bfloat16 has the
    range of float32.
    """

    ranks: Annotated[int, Field(ge=1)] = 2
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1, description="rows a rank and step")] = 1024
    steps_per_call: Annotated[int, Field(ge=1)] = 16
    shuffle_rows: Annotated[int, Field(ge=1, description="rows in a rank's shuffle buffer")] = 65536
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20130101
    monitor: Literal["validation_loss", "validation_auc", "validation_accuracy", "validation_mae"] = "validation_loss"
    patience: Annotated[int, Field(ge=1)] | None = None
    loss: Loss | None = None
    class_weights: ClassWeights = {}
    network: Network = Network()
    optimizer: Optimizer = Optimizer()
    accumulation: Annotated[int, Field(ge=1, description="parts of a rank's batch")] = 1
    compression: Literal["none", "fp16"] = "none"
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    tensorboard: bool = False
    timeline: bool = False
    mlflow: Mlflow | None = None
    checkpoint_steps: Annotated[int, Field(ge=1, description="steps of an epoch between checkpoints")] = 1000
    retries: Annotated[int, Field(ge=0, description="restarts from the last checkpoint when a rank is lost")] = 2
    launcher: Literal["barrier", "horovod_spark"] = "barrier"
    allow_plain_transport: bool = False
    channel_port: Annotated[int, Field(ge=0, le=65535)] = 0
    start_timeout_seconds: Annotated[float, Field(gt=0)] = 120
    stall_timeout_seconds: Annotated[int, Field(gt=0)] = 60

    @model_validator(mode="after")
    def _in_whole_parts(self) -> TrainConfig:
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of accumulation {self.accumulation}; expected one, for "
                f"parts that are equal"
            )
        if self.network.batch_norm and self.accumulation > 1:
            raise ValueError("batch_norm needs all rows of a step at once; expected accumulation 1, or no batch_norm")
        return self
