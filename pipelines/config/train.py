"""The section `train`: network, optimizer and ranks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.base import Model

Size = Annotated[int, Field(ge=1)]


class Convolution(Model):
    """What stands over an image: for each of `filters` a convolution and a pooling, then all of it side by side."""

    filters: tuple[Size, ...] = (32, 64)
    kernel: Size = 3
    pool: Size = 2


class Recurrence(Model):
    """What stands over a sequence: recurrent layers, of which the last gives its last state."""

    cell: Literal["lstm", "gru"] = "gru"
    units: Annotated[tuple[Size, ...], Field(min_length=1)] = (32,)


class Words(Model):
    """What stands over a text: an embedding of its words, and how they become one: their mean, their greatest value by
    dimension, or a recurrent layer.
    """

    embedding_size: Size = 32
    pooling: Literal["mean", "max", "lstm", "gru"] = "mean"
    units: Size = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Network(Model):
    """A multi-layer perceptron over the numeric features, one embedding for each feature of ids, and what stands over images,
    sequences and texts, where there are any.
    """

    hidden: tuple[Size, ...] = (256, 128)
    activation: str = "relu"
    initializer: str = "he_normal"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    embedding_size: Size = 8
    image: Convolution = Convolution()
    sequence: Recurrence = Recurrence()
    text: Words = Words()


class Optimizer(Model):
    """A Keras optimizer by its class name, its learning rate, and how that decays over the run, once it has risen from 0 over
    `warmup`, a share of the run's steps.
    """

    name: str = "Adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    options: dict[str, float | bool] = {}


class TrainConfig(Model):
    """The training run: ranks, batch, epochs, network, and where the ranks call back. With `patience` it ends once so many
    epochs have passed without a better one by what `monitor` names.
    """

    ranks: Annotated[int, Field(ge=1)] = 2
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1, description="rows a rank and step")] = 1024
    steps_per_call: Annotated[int, Field(ge=1)] = 16
    shuffle_rows: Annotated[int, Field(ge=1, description="rows in a rank's shuffle buffer")] = 65536
    seed: int = 20130101
    monitor: Literal["validation_loss", "validation_auc", "validation_accuracy", "validation_mae"] = "validation_loss"
    patience: Annotated[int, Field(ge=1)] | None = None
    network: Network = Network()
    optimizer: Optimizer = Optimizer()
    channel_port: Annotated[int, Field(ge=0, le=65535)] = 0
    start_timeout_seconds: Annotated[float, Field(gt=0)] = 120
    stall_timeout_seconds: Annotated[int, Field(gt=0)] = 60
