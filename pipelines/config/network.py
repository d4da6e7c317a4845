"""The section `train.network`: what stands between features and outputs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelines.model import Model

Size = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class Convolution(Model):
    """What stands over an image: convolutions with a pooling after each, then all numbers side by side."""

    filters: tuple[Size, ...] = (32, 64)
    """Filters of each convolution, one after the other."""
    kernel: Size = 3
    """Height and width of a kernel, in pixels."""
    pool: Size = 2
    """Height and width of the pooling after each convolution, in pixels."""


class Recurrence(Model):
    """What stands over a sequence: recurrent layers."""

    cell: Literal["lstm", "gru"] = "gru"
    """Kind of the recurrent layers."""
    units: Annotated[tuple[Size, ...], Field(min_length=1)] = (32,)
    """Units of each layer, one after the other. The last gives its last state."""


class TextLayers(Model):
    """What stands over a text: an embedding of its words, and how they become one."""

    embedding_size: Size = 32
    """Numbers that a word becomes."""
    pooling: Literal["mean", "max", "lstm", "gru"] = "mean"
    """How a text's words become one: their mean, their greatest value by dimension, or a recurrent layer."""
    units: Size = 32
    """Units of the recurrent layer of `lstm` and `gru`."""
    dropout: Dropout = 0.0
    """Share of the pooled numbers that training leaves out."""


class Uniform(Model):
    """Weights that begin uniform around 0."""

    uniform: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Weights begin between minus this number and this number."""


class Network(Model):
    """A multi-layer perceptron over the numeric features, one embedding for each feature of ids, and what stands over images,
    sequences and texts. Or whatever network a function makes.
    """

    hidden: tuple[Size, ...] = (256, 128)
    """Units of each hidden layer. With an empty list there is none."""
    activation: str = "relu"
    """Keras's name of the activation of hidden layers and convolutions."""
    initializer: str | Uniform = "he_normal"
    """Keras's name of the initializer of hidden layers and convolutions, or a uniform one."""
    batch_norm: bool = False
    """Whether each hidden layer is normalized before its activation, over the rows of all ranks. Needs `accumulation: 1`."""
    wide: bool = False
    """Whether a linear path leads from numbers and ids to the output, beside the hidden layers."""
    dropout: Dropout = 0.0
    """Share of units that training leaves out after each hidden layer."""
    embedding_size: Size = 8
    """Numbers that an id becomes, at most half as many as the feature has ids."""
    image: Convolution = Convolution()
    """The layers over images."""
    sequence: Recurrence = Recurrence()
    """The layers over sequences."""
    text: TextLayers = TextLayers()
    """The layers over texts."""
    build: str | None = None
    """Function, as `module:name`, that makes the whole network. It receives the inputs by name and this section, whose other
    keys mean what it makes of them.
    """
    options: dict[str, Any] = {}
    """Settings of its own for the function. Refused without `build`."""

    @model_validator(mode="after")
    def _options_of_a_function(self) -> Network:
        if self.options and self.build is None:
            raise ValueError("options are those of a function that build names; expected build: module:name, or no options")
        return self
