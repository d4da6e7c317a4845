"""The section `train.network`: what stands between features and outputs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelines.model import Model

Size = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


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
    dropout: Dropout = 0.0


class Uniform(Model):
    """Weights that begin uniform between -`uniform` and `uniform`."""

    uniform: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Network(Model):
    """A multi-layer perceptron over the numeric features, one embedding for each feature of ids, and what stands over images,
    sequences and texts, where there are any; with `batch_norm` between a hidden layer and its activation, with `wide` beside a
    linear path from numbers and ids to the output.

    Or whatever `build` makes, a function at `module:name` that is called with the inputs by name and this section, whose
    `options` are its own; then the other keys say what it has them say.
    """

    hidden: tuple[Size, ...] = (256, 128)
    activation: str = "relu"
    initializer: str | Uniform = "he_normal"
    batch_norm: bool = False
    wide: bool = False
    dropout: Dropout = 0.0
    embedding_size: Size = 8
    image: Convolution = Convolution()
    sequence: Recurrence = Recurrence()
    text: Words = Words()
    build: str | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _options_of_a_function(self) -> Network:
        if self.options and self.build is None:
            raise ValueError("options are those of a function that build names; expected build: module:name, or no options")
        return self
