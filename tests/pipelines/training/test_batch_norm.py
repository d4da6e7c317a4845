"""Batch normalisation by Keras's own layer, and with padding by NumPy; over ranks it is tested where there are ranks."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.errors import ConfigError
from pipelines.training.batch_norm import BatchNorm, refuse_batch_norm, rows_of_all_ranks

VALUES = np.random.default_rng(2).normal(3, 2, size=(6, 4)).astype(np.float32)
WEIGHTS = [np.array([1, 2, 0.5, 1], np.float32), np.array([0, 1, 0, -1], np.float32)]


def layer() -> BatchNorm:
    """A layer for four units with some gamma and beta."""
    norm = BatchNorm(momentum=0.9)
    norm.build((None, 4))
    norm.set_weights([*WEIGHTS, np.zeros(4), np.ones(4)])
    return norm


def test_it_normalises_as_keras_does() -> None:
    own, theirs = layer(), keras.layers.BatchNormalization(momentum=0.9)
    theirs.build((None, 4))
    theirs.set_weights(own.get_weights())
    for training in (True, True, False):
        np.testing.assert_allclose(own(VALUES, training=training), theirs(VALUES, training=training), rtol=1e-4, atol=1e-5)
    for first, second in zip(own.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


def test_gradients_are_keras_s() -> None:
    own, theirs = layer(), keras.layers.BatchNormalization()
    theirs.build((None, 4))
    theirs.set_weights(own.get_weights())
    values, gradients = tf.constant(VALUES), []
    for each in (own, theirs):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(each(values, training=True) ** 3)
        gradients.append(tape.gradient(loss, [values, each.gamma.value, each.beta.value]))
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4)


def test_padding_counts_nothing() -> None:
    norm, padded = layer(), np.concatenate([VALUES, np.full((3, 4), 1e6, np.float32)])
    with rows_of_all_ranks(tf.constant([1.0] * 6 + [0.0] * 3)):
        outputs = norm(padded, training=True).numpy()[:6]
    mean, variance = VALUES.mean(axis=0), VALUES.var(axis=0)
    np.testing.assert_allclose(
        outputs, (VALUES - mean) / np.sqrt(variance + 1e-3) * WEIGHTS[0] + WEIGHTS[1], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(norm.moving_mean, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5)


def test_numbers_far_from_zero_have_their_variance() -> None:
    values = np.array([[10_000.0], [10_001.0]], np.float32)
    outputs = BatchNorm(epsilon=0.0)(values, training=True)
    np.testing.assert_allclose(outputs, [[-1], [1]], rtol=1e-5)


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, BatchNorm(momentum=0.5)(inputs))
    model(VALUES, training=True)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(VALUES), model(VALUES))
    assert loaded.layers[1].get_config()["momentum"] == 0.5


def test_a_network_that_has_it_is_not_trained_in_parts() -> None:
    inputs = keras.Input((4,))
    within = keras.Sequential([keras.layers.Dense(2), BatchNorm()])
    with pytest.raises(ConfigError, match=r"train\.accumulation: the network has batch normalisation"):
        refuse_batch_norm(keras.Model(inputs, within(inputs)))
