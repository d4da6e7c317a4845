"""Forward pass, cross-entropy, gradients and first steps by hand, and gradients of every branch by differences of the loss."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from pipelines.config import Binary, Network, Optimizer
from pipelines.features.fitted import FittedSpec
from pipelines.training.networks import build_network
from pipelines.training.optimizers import Steps, build_optimizer
from pipelines.training.tasks import head_of

SCALE = {"fill": 0, "clip": None, "log1p": False, "offset": 0, "scale": 1}
TWO = FittedSpec.model_validate({"features": [{"kind": "numeric", "name": name, **SCALE} for name in ("a", "b")]})
HEAD = head_of(Binary(), TWO, None)
NO_IDS = np.zeros((1, 0), np.int32)
X = np.array([[1.0, 2.0]], np.float32)
WEIGHTS: list[Any] = [[[1.0, -1.0], [0.5, 1.0]], [0.0, 0.5], [[1.0], [-2.0]], [0.25]]
P = 1 / (1 + math.exp(0.75))


@pytest.fixture
def network() -> keras.Model:
    """Two inputs, two hidden units, one logit; h = (1 + 1, -1 + 2 + 0.5) = (2, 1.5), z = 2 - 3 + 0.25 = -0.75."""
    built = build_network(Network(hidden=(2,), activation="relu"), TWO)
    built.set_weights([np.array(values, np.float32) for values in WEIGHTS])
    return built


def gradients(network: keras.Model, label: float) -> list[npt.NDArray[np.float32]]:
    """Of the loss of X with this label, by weight."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(HEAD.losses(tf.constant([label]), network([X, NO_IDS])))
    return [g.numpy() for g in tape.gradient(loss, [v.value for v in network.trainable_variables])]


def test_forward_pass_and_cross_entropy(network: keras.Model) -> None:
    logit = network([X, NO_IDS])
    assert logit.numpy().tolist() == [-0.75]
    assert HEAD.link(logit).numpy() == pytest.approx([0.320821], abs=1e-6)
    assert HEAD.losses(tf.constant([1.0]), logit).numpy() == pytest.approx([1.136871], abs=1e-6)  # -ln 0.320821
    assert HEAD.losses(tf.constant([0.0]), logit).numpy() == pytest.approx([0.386871], abs=1e-6)


def test_gradients_by_the_chain_rule(network: keras.Model) -> None:
    error = P - 1  # of the logit, with label 1
    hidden, bias, output, last = gradients(network, 1.0)
    np.testing.assert_allclose(output, [[error * 2], [error * 1.5]], rtol=1e-6)
    np.testing.assert_allclose(last, [error], rtol=1e-6)
    np.testing.assert_allclose(bias, [error * 1, error * -2], rtol=1e-6)
    np.testing.assert_allclose(hidden, [[error * 1, error * -2], [error * 2, error * -4]], rtol=1e-6)


def test_the_first_step_of_sgd(network: keras.Model) -> None:
    optimizer = build_optimizer(Optimizer(name="SGD", learning_rate=0.1), Steps(1, 1))
    optimizer.apply([tf.constant(g) for g in gradients(network, 1.0)], network.trainable_variables)
    error = P - 1
    assert network.get_weights()[2].ravel() == pytest.approx([1 - 0.1 * error * 2, -2 - 0.1 * error * 1.5], rel=1e-6)


def test_the_first_steps_of_momentum_and_adam() -> None:
    """Gradients 0.5 and -1. Adam (Kingma and Ba 2015, algorithm 1): the first step is the rate whatever the gradient; then
    m = 0.9 * 0.05 - 0.1 = -0.055, v = 0.999 * 0.00025 + 0.001 = 0.00124975, corrected -0.289474 and 0.625188.
    """
    weights = {}
    for name, optimizer in {
        "momentum": Optimizer(name="SGD", learning_rate=0.1, options={"momentum": 0.9}),
        "Adam": Optimizer(name="Adam", learning_rate=0.1),
    }.items():
        weight = keras.Variable([1.0])
        built, values = build_optimizer(optimizer, Steps(2, 1)), []
        for gradient in (0.5, -1.0):
            built.apply([tf.constant([gradient])], [weight])
            values.append(float(weight.numpy()[0]))
        weights[name] = values
    assert weights["momentum"] == pytest.approx([0.95, 0.95 - 0.9 * 0.05 + 0.1], abs=1e-6)
    assert weights["Adam"] == pytest.approx([0.9, 0.9 + 0.1 * 0.289474 / math.sqrt(0.625188)], abs=1e-5)


def test_the_first_step_of_lamb() -> None:
    """You et al. 2020, algorithm 2: Adam's first step, 1 by weight with the gradient's sign, as long as the weights are: (3, 4)
    is of length 5 and (1, -1) of the root of 2.
    """
    weight = keras.Variable([3.0, 4.0])
    built = build_optimizer(Optimizer(name="Lamb", learning_rate=0.1), Steps(1, 1))
    built.apply([tf.constant([0.5, -2.0])], [weight])
    length = 5 / math.sqrt(2)
    assert weight.numpy().tolist() == pytest.approx([3 - 0.1 * length, 4 + 0.1 * length], abs=1e-5)


@pytest.mark.parametrize("more", [{}, {"wide": True}, {"batch_norm": True}])
def test_gradients_of_every_branch_are_differences_of_the_loss(more: dict[str, bool]) -> None:
    channels = [{"kind": "channel", "name": n, "sequence": "past", "of": n, "length": 4, **SCALE} for n in ("u", "v")]
    spec = FittedSpec.model_validate(
        {
            "features": [
                {"kind": "numeric", "name": "a", **SCALE},
                {"kind": "hashed", "name": "w", "buckets": 3},
                *channels,
                {"kind": "image", "name": "picture", "height": 4, "width": 4, "channels": 1, "divide_by": 255},
                {"kind": "text", "name": "said", "length": 3, "vocabulary": ["x", "y"]},
            ]
        }
    )
    settings = {
        "hidden": [5],
        "activation": "tanh",
        "image": {"filters": [2]},
        "sequence": {"cell": "lstm", "units": [3]},
        **more,
    }
    keras.utils.set_random_seed(4)
    built = build_network(Network.model_validate(settings), spec)
    random = np.random.default_rng(4)
    rows = 6
    inputs = [
        random.normal(size=(rows, 1)).astype(np.float32),
        random.integers(0, 4, (rows, 1)).astype(np.int32),
        random.normal(size=(rows, 4, 2)).astype(np.float32),
        random.random((rows, 4, 4, 1)).astype(np.float32),
        random.integers(0, 4, (rows, 3)).astype(np.int32),
    ]
    labels = tf.constant(random.integers(0, 2, rows).astype(np.float32))

    def loss() -> tf.Tensor:
        return tf.reduce_mean(HEAD.losses(labels, built(inputs, training=True)))

    with tf.GradientTape() as tape:
        whole = loss()
    computed = tape.gradient(whole, [v.value for v in built.trainable_variables])
    assert all(gradient is not None for gradient in computed)
    for variable, gradient in zip(built.trainable_variables, computed, strict=True):
        direction = random.normal(size=variable.shape).astype(np.float32)
        at, step = variable.numpy(), 0.003 / max(float(np.abs(direction).max()), 1.0)
        sides = []
        for sign in (1, -1):
            variable.assign(at + sign * step * direction)
            sides.append(float(loss()))
        variable.assign(at)
        expected = float((tf.convert_to_tensor(gradient).numpy() * direction).sum())
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(expected, rel=0.02, abs=1e-4), variable.path
