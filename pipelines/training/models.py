"""Networks built from the configuration, and the same networks with their preprocessing in front."""

from __future__ import annotations

import math
from functools import reduce
from operator import add

import keras

from pipelines.config import Network, Optimizer
from pipelines.errors import ConfigError
from pipelines.fitted import (
    PART,
    UNKNOWN_ID,
    UNKNOWN_WORD,
    FittedBucketized,
    FittedCategorical,
    FittedCrossed,
    FittedCyclic,
    FittedNumeric,
    FittedOrdinal,
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
    """What Spark does to features, as a model: from raw values, inputs (batch,) by name, to numbers (batch, numbers) and ids
    (batch, words).

    Numbers come as float64, NaN where missing; words as strings, empty where missing. Arithmetic before the network is in
    float64, as it is in Spark, but for subnormal numbers (below 2.3e-308), which TensorFlow takes for zero.
    """
    numbers, ids = [], []
    inputs = {name: keras.Input((), dtype=dtype, name=name) for name, dtype in spec.inputs.items()}
    for feature in spec.features:
        if isinstance(feature, FittedCrossed):
            ids.append(_crossed([inputs[part] for part in feature.of], feature))
            continue
        value = inputs[feature.name]
        if isinstance(feature, FittedCategorical):
            ids.append(_ids(value, feature.vocabulary, feature.name))
        elif isinstance(feature, FittedOrdinal):
            numbers.append(_place(value, feature))
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


def _ids(value: keras.KerasTensor, vocabulary: tuple[str, ...], name: str) -> keras.KerasTensor:
    if not vocabulary:
        return keras.ops.zeros_like(value, dtype="int32")
    lookup = keras.layers.StringLookup(
        vocabulary=list(vocabulary), num_oov_indices=1, oov_token=UNKNOWN_WORD, name=f"{name}_id"
    )
    return keras.ops.cast(lookup(value), "int32")


def _place(value: keras.KerasTensor, feature: FittedOrdinal) -> keras.KerasTensor:
    found = keras.ops.cast(_ids(value, feature.vocabulary, feature.name), "float64")
    places = (found - 1) / (len(feature.vocabulary) - 1)
    return keras.ops.where(found > 0, places, keras.ops.full_like(places, feature.fill))


def _crossed(values: list[keras.KerasTensor], feature: FittedCrossed) -> keras.KerasTensor:
    """Each part's id among the words that it has in the vocabulary, all of them as digits of one number, and that looked up."""
    if not feature.vocabulary:
        return keras.ops.zeros_like(values[0], dtype="int32")
    pairs = [word.split(PART) for word in feature.vocabulary]
    code, codes = keras.ops.zeros_like(values[0], dtype="int64"), [0] * len(pairs)
    for at, value in enumerate(values):
        known = tuple(dict.fromkeys(pair[at] for pair in pairs))
        place = {word: number for number, word in enumerate(known, start=1)}
        found = keras.ops.cast(_ids(value, known, f"{feature.name}_{at}"), "int64")
        # With an unknown part the whole is unknown: no code is negative.
        code = keras.ops.where((found > 0) & (code >= 0), code * (len(known) + 1) + found, -1)
        codes = [whole * (len(known) + 1) + place[pair[at]] for whole, pair in zip(codes, pairs, strict=True)]
    lookup = keras.layers.IntegerLookup(vocabulary=codes, num_oov_indices=1, oov_token=-2, name=f"{feature.name}_id")
    return keras.ops.cast(lookup(code), "int32")
