"""Networks built from the configuration, or by a function that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from pipelines.config import Network, Uniform, load
from pipelines.errors import ConfigError
from pipelines.features.fitted import FittedSpec, Tensor
from pipelines.training.batch_norm import BatchNorm, layers_within

Inputs = dict[str, keras.KerasTensor]


def build_network(network: Network, spec: FittedSpec, outputs: int | None = None, precision: str = "float32") -> keras.Model:
    """A network from scaled numbers (batch, numbers), ids (batch, ids) and the spec's tensors to outputs (batch,), or (batch,
    `outputs`), in float32.

    Each column of ids has an embedding, no wider than half its ids; over images stand convolutions, over sequences recurrent
    layers, over texts an embedding of words and what makes them one; over all of it side by side a multi-layer perceptron.
    Where the configuration names a function, the network is what that makes of the inputs. Layers before the output compute in
    `precision`, a Keras dtype policy. Raises ConfigError on an unknown activation or initializer, when an image is too small
    for its layers, or when the function's network does not fit.
    """
    inputs = {
        "numbers": keras.Input((len(spec.numbers),), name="numbers"),
        "ids": keras.Input((len(spec.ids),), dtype="int32", name="ids"),
        **{tensor.name: keras.Input(tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in spec.tensors},
    }
    with _policy(precision):
        output = _output(network, spec, inputs, outputs) if network.build is None else _built(network, inputs, outputs)
    return keras.Model(list(inputs.values()), output, name="network")


@contextmanager
def _policy(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _output(network: Network, spec: FittedSpec, inputs: Inputs, outputs: int | None) -> keras.KerasTensor:
    ids = [inputs["ids"][:, index] for index in range(len(spec.ids))]
    parts = [inputs["numbers"]] if spec.numbers else []
    for index, size in enumerate(spec.sizes.values()):
        width = min(network.embedding_size, (size + 1) // 2)
        parts.append(keras.layers.Embedding(size, width, name=f"embedding_{index}")(ids[index]))
    above = {"image": _convolved, "sequence": _recurrent, "text": _read}
    parts += [above[tensor.kind](network, tensor, inputs[tensor.name]) for tensor in spec.tensors]
    hidden = keras.layers.concatenate(parts) if len(parts) > 1 else parts[0]
    for index, units in enumerate(network.hidden):
        hidden = _dense(network, units, index, hidden)
        if network.dropout:
            hidden = keras.layers.Dropout(network.dropout)(hidden)
    output = keras.layers.Dense(outputs or 1, name="output", dtype="float32")(hidden)
    if network.wide:
        output = keras.layers.add([output, *_wide(spec, inputs["numbers"], ids, outputs or 1)], dtype="float32")
    return keras.ops.squeeze(output, axis=-1) if outputs is None else output


def _dense(network: Network, units: int, index: int, value: keras.KerasTensor) -> keras.KerasTensor:
    name = f"hidden_{index}"
    if not network.batch_norm:
        return _with_names(network, keras.layers.Dense, units, name=name)(value)
    # The mean that is taken away takes a bias with it; beta stands for it.
    layers = _with_names(network, keras.layers.Dense, units, use_bias=False, activation=None, name=name)
    return _activation(network, f"{name}_activation")(BatchNorm(name=f"{name}_norm")(layers(value)))


def _wide(spec: FittedSpec, numbers: keras.KerasTensor, ids: list[keras.KerasTensor], width: int) -> list[keras.KerasTensor]:
    """A linear model's terms: of the numbers, and one of each column of ids. Source: Cheng et al., Wide & deep learning (2016).

    They begin at 0, where a linear model may: what is learnt at first is the deep part's.
    """
    options = {"dtype": "float32"}
    terms = []
    if spec.numbers:
        layer = keras.layers.Dense(width, use_bias=False, kernel_initializer="zeros", name="wide_numbers", **options)
        terms.append(layer(numbers))
    for index, size in enumerate(spec.sizes.values()):
        layer = keras.layers.Embedding(size, width, embeddings_initializer="zeros", name=f"wide_{index}", **options)
        terms.append(layer(ids[index]))
    return terms


def _built(network: Network, inputs: Inputs, outputs: int | None) -> keras.KerasTensor:
    """The output, in float32, of the network that the configuration's function makes of the inputs."""
    assert network.build is not None
    model = load(network.build, "train.network.build")(dict(inputs), network)
    if not isinstance(model, keras.Model) or not hasattr(model, "inputs"):
        raise _unfit(network, f"gave {type(model).__name__}", "a keras.Model of the inputs that it was given and an output")
    if foreign := [
        tensor.name for tensor in model.inputs if not any(tensor is network_input for network_input in inputs.values())
    ]:
        raise _unfit(network, f"has inputs of its own: {', '.join(foreign)}", f"those that it was given: {', '.join(inputs)}")
    shape, expected_shape = model.output_shape, (None,) if outputs is None else (None, outputs)
    if shape != expected_shape and not (outputs is None and shape == (None, 1)):
        raise _unfit(network, f"gives outputs of shape {shape}", f"{expected_shape}, where None is the batch")
    if local := [layer.name for layer in layers_within(model) if isinstance(layer, keras.layers.BatchNormalization)]:
        expected = "pipelines.training.batch_norm.BatchNorm, which normalises over all ranks"
        raise _unfit(network, f"has a BatchNormalization, which every rank would do alone: {', '.join(local)}", expected)
    output = keras.ops.squeeze(model.output, axis=-1) if shape != expected_shape else model.output
    return keras.ops.cast(output, "float32")


def _unfit(network: Network, actual: str, expected: str) -> ConfigError:
    return ConfigError(f"train.network.build: the network of {network.build} {actual}; expected {expected}.")


def _with_names(network: Network, layer: Callable[..., keras.Layer], *arguments: Any, **options: Any) -> keras.Layer:
    """A layer with the configured initializer and, unless it is given another, the configured activation."""
    # An initializer for each layer: one that several share gives all of them the same weights.
    begin = network.initializer
    kernel = keras.initializers.RandomUniform(-begin.uniform, begin.uniform) if isinstance(begin, Uniform) else begin
    try:
        return layer(*arguments, **{"activation": network.activation, "kernel_initializer": kernel, **options})
    except (ValueError, TypeError) as error:
        raise _unknown(network) from error


def _activation(network: Network, name: str) -> keras.Layer:
    try:
        return keras.layers.Activation(network.activation, name=name)
    except (ValueError, TypeError) as error:
        raise _unknown(network) from error


def _unknown(network: Network) -> ConfigError:
    return ConfigError(
        f"train.network: Keras knows no activation '{network.activation}' or no initializer '{network.initializer}'. "
        f"Expected names such as relu, tanh, sigmoid; he_normal, glorot_uniform, random_uniform; or {{uniform: 0.05}}."
    )


def _convolved(network: Network, tensor: Tensor, value: keras.KerasTensor) -> keras.KerasTensor:
    config = network.image
    for index, filters in enumerate(config.filters):
        name = f"{tensor.name}_convolution_{index}"
        value = _with_names(network, keras.layers.Conv2D, filters, config.kernel, padding="same", name=name)(value)
        if min(value.shape[1:3]) < config.pool:
            raise ConfigError(
                f"train.network.image: {tensor.name} is {tensor.shape[0]} by {tensor.shape[1]}; {len(config.filters)} poolings "
                f"of {config.pool} need at least {config.pool ** len(config.filters)}. Use fewer filters or a smaller pool."
            )
        value = keras.layers.MaxPooling2D(config.pool)(value)
    return keras.layers.Flatten()(value)


def _recurrent(network: Network, tensor: Tensor, value: keras.KerasTensor) -> keras.KerasTensor:
    config = network.sequence
    cell = keras.layers.LSTM if config.cell == "lstm" else keras.layers.GRU
    for index, units in enumerate(config.units):
        last = index == len(config.units) - 1
        value = cell(units, return_sequences=not last, name=f"{tensor.name}_{config.cell}_{index}")(value)
    return value


def _read(network: Network, tensor: Tensor, value: keras.KerasTensor) -> keras.KerasTensor:
    config = network.text
    words = keras.layers.Embedding(tensor.size, config.embedding_size, name=f"{tensor.name}_words")(value)
    mask = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(value, 0), "float32"), -1)
    if config.pooling == "mean":
        # Of the words that are there: a text without any is all zeros.
        pooled = keras.ops.sum(words * mask, axis=1) / keras.ops.maximum(keras.ops.sum(mask, axis=1), 1.0)
    elif config.pooling == "max":
        pooled = keras.ops.max(words * mask - 1e9 * (1 - mask), axis=1) * keras.ops.max(mask, axis=1)
    else:
        cell = keras.layers.LSTM if config.pooling == "lstm" else keras.layers.GRU
        pooled = cell(config.units, name=f"{tensor.name}_{config.pooling}")(words * mask)
    return keras.layers.Dropout(config.dropout)(pooled) if config.dropout else pooled
