"""A batch's gradient in parts is that of the whole, with weights of classes and with padding."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import Binary, Network
from pipelines.features.fitted import FittedSpec
from pipelines.training.gradients import gradients_of
from pipelines.training.networks import build_network
from pipelines.training.tasks import head_of

SPEC = FittedSpec.model_validate(
    {
        "features": [
            {"kind": "numeric", "name": "a", "fill": 0, "clip": None, "log1p": False, "offset": 0, "scale": 1},
            {"kind": "hashed", "name": "w", "buckets": 5},
        ]
    }
)
RANDOM = np.random.default_rng(6)
INPUTS = [RANDOM.normal(size=(12, 1)).astype(np.float32), RANDOM.integers(0, 6, (12, 1)).astype(np.int32)]
LABELS = RANDOM.integers(0, 2, 12).astype(np.float32)
PADDED = np.array([1.0] * 10 + [0.0] * 2, np.float32)


def gradients(parts: int, precision: str = "float32") -> tuple[float, list[Any]]:
    """The loss and gradients of one and the same network."""
    return compute(network_of(precision), parts)


def network_of(precision: str = "float32") -> keras.Model:
    """A network, whose weights are the same each time."""
    keras.utils.set_random_seed(3)
    return build_network(Network(hidden=(5,)), SPEC, None, precision)


def compute(network: keras.Model, parts: int) -> tuple[float, list[Any]]:
    """Loss and gradients."""
    head = head_of(Binary(), SPEC, None, None, {"1": 3.0})

    @tf.function  # type: ignore[untyped-decorator] # TensorFlow has no types
    def compiled() -> tuple[tf.Tensor, list[tf.Tensor]]:
        return gradients_of(network, head, [*map(tf.constant, INPUTS)], tf.constant(LABELS), tf.constant(PADDED), parts)

    loss, tensors = compiled()
    return float(loss), [each.numpy() for each in tensors]


@pytest.mark.parametrize("parts", [2, 4, 12])
def test_parts_add_up_to_the_whole(parts: int) -> None:
    (whole, expected), (loss, actual) = gradients(1), gradients(parts)
    assert loss == pytest.approx(whole, rel=1e-6)
    for first, second in zip(actual, expected, strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)


def test_in_bfloat16_gradients_are_nearly_the_same_and_of_float32() -> None:
    (whole, expected), (loss, actual) = gradients(1), gradients(1, "mixed_bfloat16")
    assert 0 < abs(loss - whole) < 0.02 * whole
    for first, second in zip(actual, expected, strict=True):
        assert first.dtype == np.float32
        np.testing.assert_allclose(first, second, rtol=0, atol=0.02 * max(np.abs(second).max(), 1))


@pytest.mark.parametrize("parts", [1, 4])
def test_what_a_layer_adds_to_the_loss_stands_beside_the_mean_of_the_rows(parts: int) -> None:
    plain, penalized = network_of(), network_of()
    dense = next(layer for layer in penalized.layers if isinstance(layer, keras.layers.Dense))
    dense.kernel.regularizer = keras.regularizers.L2(0.1)
    (loss, before), (regularized, after) = (compute(each, parts) for each in (plain, penalized))
    rows, kernel = PADDED.sum(), dense.kernel.numpy()
    assert regularized - loss == pytest.approx(rows * 0.1 * (kernel**2).sum(), rel=1e-5)
    position = next(at for at, variable in enumerate(penalized.trainable_variables) if variable is dense.kernel)
    np.testing.assert_allclose(after[position] - before[position], rows * 0.2 * kernel, rtol=1e-4, atol=1e-5)
