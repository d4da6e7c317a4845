"""Networks built from the configuration, and the same networks with their preprocessing in front."""

from __future__ import annotations

import math
from functools import reduce
from operator import add

import keras

from pipelines.config import Network, Optimizer
from pipelines.errors import ConfigError
from pipelines.fitted import (
    UNKNOWN_ID,
    UNKNOWN_WORD,
    FittedBucketized,
    FittedCategorical,
    FittedCyclic,
    FittedNumeric,
    FittedSpec,
)


def build_network(network: Network, numbers: int, vocabulary_sizes: tuple[int, ...]) -> keras.Model:
    """A multi-layer perceptron from scaled numbers (batch, numbers) and ids (batch, words) to one logit (batch,).

    Each categorical feature has an embedding, no wider than half its ids. Raises ConfigError on an unknown activation or
    initializer.
    """
    number_input = keras.Input((numbers,), name="numbers")
    id_input = keras.Input((len(vocabulary_sizes),), dtype="int32", name="ids")
    parts = [number_input] if numbers else []
    for index, size in enumerate(vocabulary_sizes):
        width = min(network.embedding_size, (size + 1) // 2)
        parts.append(keras.layers.Embedding(size, width, name=f"embedding_{index}")(id_input[:, index]))
    hidden = keras.layers.concatenate(parts) if len(parts) > 1 else parts[0]
    for index, units in enumerate(network.hidden):
        hidden = _dense(network, units, index)(hidden)
        if network.dropout:
            hidden = keras.layers.Dropout(network.dropout)(hidden)
    logit = keras.layers.Dense(1, name="logit")(hidden)
    return keras.Model([number_input, id_input], keras.ops.squeeze(logit, axis=-1), name="network")


def build_optimizer(optimizer: Optimizer, steps: int) -> keras.optimizers.Optimizer:
    """A Keras optimizer whose schedule, where it has one, runs over `steps` steps; raises ConfigError on a wrong name."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = optimizer.learning_rate
    if optimizer.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(optimizer.learning_rate, decay_steps=steps)
    try:
        kind = getattr(keras.optimizers, optimizer.name)
        built: keras.optimizers.Optimizer = kind(learning_rate=rate, **optimizer.options)
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"train.optimizer: Keras cannot make {optimizer.name} with {optimizer.options}: {error}. "
            f"Expected a class of keras.optimizers, such as SGD, Adam or AdamW, and its own options."
        ) from error
    return built


def build_preprocessing(spec: FittedSpec) -> keras.Model:
    """What Spark does to features, as a model: from raw values, one input (batch,) a feature, to numbers (batch, numbers) and
    ids (batch, words).

    Numbers come as float64, NaN where missing; words as strings, empty where missing. Arithmetic before the network is in
    float64, as it is in Spark, but for subnormal numbers (below 2.3e-308), which TensorFlow takes for zero.
    """
    inputs: dict[str, keras.KerasTensor] = {}
    numbers, ids = [], []
    for feature in spec.features:
        dtype = "string" if isinstance(feature, FittedCategorical) else "float64"
        inputs[feature.name] = value = keras.Input((), dtype=dtype, name=feature.name)
        if isinstance(feature, FittedCategorical):
            ids.append(_ids(value, feature))
        elif isinstance(feature, FittedCyclic):
            numbers += _sine_and_cosine(value, feature)
        elif isinstance(feature, FittedBucketized):
            ids.append(_bucket(value, feature))
        else:
            numbers.append(_scaled(value, feature))
            if feature.indicator:
                numbers.append(keras.ops.cast(keras.ops.isnan(value), "float64"))
    # A spec of one kind leaves the other kind's input as wide as nothing.
    columns = [keras.ops.stack(kind, axis=-1) if kind else None for kind in (numbers, ids)]
    some = next(column for column in columns if column is not None)[:, :0]
    number_input, id_input = (some if column is None else column for column in columns)
    number_input, id_input = keras.ops.cast(number_input, "float32"), keras.ops.cast(id_input, "int32")
    return keras.Model(inputs, [number_input, id_input], name="preprocessing")


def build_scorer(network: keras.Model, preprocessing: keras.Model) -> keras.Model:
    """The network behind its preprocessing: from raw values, one input (batch,) a feature, to a probability (batch,)."""
    probability = keras.ops.sigmoid(network(preprocessing.outputs))
    return keras.Model(preprocessing.input, probability, name="scorer")


def _dense(network: Network, units: int, index: int) -> keras.layers.Dense:
    try:
        return keras.layers.Dense(
            units, activation=network.activation, kernel_initializer=network.initializer, name=f"hidden_{index}"
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"train.network: Keras knows no activation '{network.activation}' or no initializer "
            f"'{network.initializer}'. Expected names such as relu, tanh, sigmoid; he_normal, glorot_uniform, random_uniform."
        ) from error


def _present(value: keras.KerasTensor, fill: float) -> keras.KerasTensor:
    return keras.ops.where(keras.ops.isnan(value), keras.ops.full_like(value, fill), value)


def _scaled(value: keras.KerasTensor, feature: FittedNumeric) -> keras.KerasTensor:
    value = _present(value, feature.fill)
    if feature.clip:
        value = keras.ops.clip(value, *feature.clip)
    if feature.log1p:
        value = keras.ops.log1p(value)
    return (value - feature.offset) / feature.scale


def _sine_and_cosine(value: keras.KerasTensor, feature: FittedCyclic) -> list[keras.KerasTensor]:
    angle = _present(value, feature.fill) * (2 * math.pi / feature.period)
    return [keras.ops.sin(angle), keras.ops.cos(angle)]


def _bucket(value: keras.KerasTensor, feature: FittedBucketized) -> keras.KerasTensor:
    # An edge a comparison, in float64: Keras's Discretization, or a bare number here, would round to float32 first.
    reached = [keras.ops.cast(value >= keras.ops.full_like(value, edge), "int32") for edge in feature.edges]
    return keras.ops.where(keras.ops.isnan(value), UNKNOWN_ID, 1 + reduce(add, reached))


def _ids(value: keras.KerasTensor, feature: FittedCategorical) -> keras.KerasTensor:
    lookup = keras.layers.StringLookup(
        vocabulary=list(feature.vocabulary), num_oov_indices=1, oov_token=UNKNOWN_WORD, name=f"{feature.name}_id"
    )
    return keras.ops.cast(lookup(value), "int32")
