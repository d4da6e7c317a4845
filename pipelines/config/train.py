"""The section `train`: network, optimizer and ranks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.base import Model


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
