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


TrackingUri = Annotated[str, AfterValidator(_without_password), Field(description="address without a password")]


class Mlflow(Model):
    """The MLflow server that logs each training."""

    tracking_uri: TrackingUri | None = None
    """The server. Without it the environment variable MLFLOW_TRACKING_URI counts."""
    experiment: Annotated[str, Field(min_length=1)] | None = None
    """Name of the experiment. Without it the pipeline's name."""


class TrainConfig(Model):
    """The training run: ranks, epochs, loss, network, and how ranks reach the driver."""

    ranks: Annotated[int, Field(ge=1)] = 2
    """Processes that train together, each in a task slot of its own."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """Most passes over the train split."""
    batch_size: Annotated[int, Field(ge=1)] = 1024
    """Rows a rank and step."""
    steps_per_call: Annotated[int, Field(ge=1)] = 16
    """Steps in one compiled call. More of them take more memory, and less time between calls."""
    shuffle_rows: Annotated[int, Field(ge=1)] = 65536
    """Rows of a rank's shuffle buffer."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20130101
    """Seed of the rows' order, of the first weights and of dropout."""
    monitor: Literal["validation_loss", "validation_auc", "validation_accuracy", "validation_mae"] = "validation_loss"
    """What the best epoch is chosen by, and the best trial of a search. Beside the loss each task has one: AUC (binary),
    accuracy (multiclass), mean absolute error (regression).
    """
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better one after which training ends. Without it all epochs are trained."""
    loss: Loss | None = None
    """What training makes small. Without it cross-entropy of classes, squared error of numbers."""
    class_weights: ClassWeights = {}
    """By class, the factor of its rows' loss in training; 1 for a class that is not named. The validation loss has no weights.
    """
    network: Network = Network()
    """What stands between features and outputs."""
    optimizer: Optimizer = Optimizer()
    """The rule by which weights move."""
    accumulation: Annotated[int, Field(ge=1)] = 1
    """Parts in which a rank works out a step's gradient, one in memory at a time. `batch_size` is a multiple of it."""
    compression: Literal["none", "fp16"] = "none"
    """With `fp16` ranks send gradients in 16 bits, half of the bytes."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """With `mixed_bfloat16` layers before the output compute in bfloat16, which has the range of float32. Weights and loss stay
    float32. There is no float16: small gradients vanish in it.
    """
    tensorboard: bool = False
    """Whether rank 0 writes scalars for TensorBoard. The table `runs` says where."""
    timeline: bool = False
    """Whether Horovod's trace of every all-reduce is kept, which is long. The table `runs` says where."""
    mlflow: Mlflow | None = None
    """Logs parameters and epochs to MLflow. Without it nothing is logged there."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 1000
    """Steps of an epoch between checkpoints. There is one after each epoch besides."""
    retries: Annotated[int, Field(ge=0)] = 2
    """Restarts from the last checkpoint when a rank is lost."""
    launcher: Literal["barrier", "horovod_spark"] = "barrier"
    """`barrier` starts ranks in a barrier stage, with MPI. `horovod_spark` is Horovod's own launcher, with Gloo, which needs no
    barrier stage.
    """
    encrypted_interface: Annotated[str, Field(pattern=r"^[\w.-]{1,15}$")] | None = None
    """Network interface of a tunnel, such as WireGuard's `wg0`, which the hosts of the driver and of each executor have. Ranks
    and driver then talk to each other by it alone. Only with `launcher: barrier`.
    """
    allow_plain_transport: bool = False
    """Whether ranks may talk in plain where the cluster encrypts, or mpiexec's port can't be held to the loopback. For trusted
    networks; where ranks talk by an `encrypted_interface`, the first needs no permission.
    """
    channel_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of the driver to which ranks connect. 0 takes any free one."""
    start_timeout_seconds: Annotated[float, Field(gt=0)] = 120
    """Seconds until all ranks have to be ready. Also how long nothing may move before the first step or in an export."""
    stall_timeout_seconds: Annotated[int, Field(gt=0)] = 60
    """Seconds without a sign of life of a rank, or without progress of all, after which it counts as hung."""

    @model_validator(mode="after")
    def _by_a_launcher_that_binds(self) -> TrainConfig:
        if self.encrypted_interface and self.launcher != "barrier":
            raise ValueError(
                f"encrypted_interface {self.encrypted_interface} can't be kept to by launcher {self.launcher}; expected "
                f"launcher barrier, or no encrypted_interface"
            )
        return self

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
