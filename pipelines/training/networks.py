"""Networks and optimizers built from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from pipelines.config import Network, Optimizer
from pipelines.errors import ConfigError
from pipelines.fitted import FittedSpec, Tensor


def build_network(network: Network, spec: FittedSpec, outputs: int | None = None) -> keras.Model:
    """A network from scaled numbers (batch, numbers), ids (batch, ids) and the spec's tensors to outputs (batch,), or (batch,
    `outputs`).

    Each column of ids has an embedding, no wider than half its ids; over images stand convolutions, over sequences recurrent
    layers, over texts an embedding of words and what makes them one; over all of it side by side a multi-layer perceptron.
    Raises ConfigError on an unknown activation or initializer, or when an image is too small for its layers.
    """
    number_input = keras.Input((len(spec.numbers),), name="numbers")
    id_input = keras.Input((len(spec.ids),), dtype="int32", name="ids")
    parts = [number_input] if spec.numbers else []
    for index, size in enumerate(spec.sizes.values()):
        width = min(network.embedding_size, (size + 1) // 2)
        parts.append(keras.layers.Embedding(size, width, name=f"embedding_{index}")(id_input[:, index]))
    tensors = [keras.Input(wanted.shape, dtype=wanted.dtype, name=wanted.name) for wanted in spec.tensors]
    above = {"image": _convolved, "sequence": _recurrent, "text": _read}
    parts += [above[wanted.kind](network, wanted, value) for wanted, value in zip(spec.tensors, tensors, strict=True)]
    hidden = keras.layers.concatenate(parts) if len(parts) > 1 else parts[0]
    for index, units in enumerate(network.hidden):
        hidden = _with_names(network, keras.layers.Dense, units, name=f"hidden_{index}")(hidden)
        if network.dropout:
            hidden = keras.layers.Dropout(network.dropout)(hidden)
    output = keras.layers.Dense(outputs or 1, name="output")(hidden)
    whole = keras.ops.squeeze(output, axis=-1) if outputs is None else output
    return keras.Model([number_input, id_input, *tensors], whole, name="network")


def build_optimizer(optimizer: Optimizer, steps: int) -> keras.optimizers.Optimizer:
    """A Keras optimizer whose schedule, where it has one, runs over `steps` steps; raises ConfigError on a wrong name."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = optimizer.learning_rate
    warmup = round(optimizer.warmup * steps)
    if optimizer.schedule == "cosine" or warmup:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else optimizer.learning_rate,
            decay_steps=max(steps - warmup, 1),
            alpha=0.0 if optimizer.schedule == "cosine" else 1.0,  # where it ends: a constant rate does not decay
            warmup_target=optimizer.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    try:
        kind = getattr(keras.optimizers, optimizer.name)
        built: keras.optimizers.Optimizer = kind(learning_rate=rate, **optimizer.options)
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"train.optimizer: Keras cannot make {optimizer.name} with {optimizer.options}: {error}. "
            f"Expected a class of keras.optimizers, such as SGD, Adam or AdamW, and its own options."
        ) from error
    return built


def _with_names(network: Network, layer: Callable[..., keras.Layer], *arguments: Any, **options: Any) -> keras.Layer:
    try:
        return layer(*arguments, activation=network.activation, kernel_initializer=network.initializer, **options)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"train.network: Keras knows no activation '{network.activation}' or no initializer "
            f"'{network.initializer}'. Expected names such as relu, tanh, sigmoid; he_normal, glorot_uniform, random_uniform."
        ) from error


def _convolved(network: Network, wanted: Tensor, value: keras.KerasTensor) -> keras.KerasTensor:
    config = network.image
    for index, filters in enumerate(config.filters):
        name = f"{wanted.name}_convolution_{index}"
        value = _with_names(network, keras.layers.Conv2D, filters, config.kernel, padding="same", name=name)(value)
        if min(value.shape[1:3]) < config.pool:
            raise ConfigError(
                f"train.network.image: {wanted.name} is {wanted.shape[0]} by {wanted.shape[1]}; {len(config.filters)} poolings "
                f"of {config.pool} need at least {config.pool ** len(config.filters)}. Use fewer filters or a smaller pool."
            )
        value = keras.layers.MaxPooling2D(config.pool)(value)
    return keras.layers.Flatten()(value)


def _recurrent(network: Network, wanted: Tensor, value: keras.KerasTensor) -> keras.KerasTensor:
    config = network.sequence
    cell = keras.layers.LSTM if config.cell == "lstm" else keras.layers.GRU
    for index, units in enumerate(config.units):
        last = index == len(config.units) - 1
        value = cell(units, return_sequences=not last, name=f"{wanted.name}_{config.cell}_{index}")(value)
    return value


def _read(network: Network, wanted: Tensor, value: keras.KerasTensor) -> keras.KerasTensor:
    config = network.text
    words = keras.layers.Embedding(wanted.size, config.embedding_size, name=f"{wanted.name}_words")(value)
    there = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(value, 0), "float32"), -1)
    if config.pooling == "mean":
        # Of the words that are there: a text without any is all zeros.
        one = keras.ops.sum(words * there, axis=1) / keras.ops.maximum(keras.ops.sum(there, axis=1), 1.0)
    elif config.pooling == "max":
        one = keras.ops.max(words * there - 1e9 * (1 - there), axis=1) * keras.ops.max(there, axis=1)
    else:
        cell = keras.layers.LSTM if config.pooling == "lstm" else keras.layers.GRU
        one = cell(config.units, name=f"{wanted.name}_{config.pooling}")(words * there)
    return keras.layers.Dropout(config.dropout)(one) if config.dropout else one
