"""Losses and weights of classes, by Keras's own losses, by scikit-learn and by hand."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from sklearn.metrics import mean_pinball_loss

from pipelines.config import Binary, Multiclass, Regression, TrainConfig
from pipelines.features.fitted import FittedLabel, FittedSpec
from pipelines.training.tasks import OutputHead, head_of

NONE = FittedSpec(features=())
DEGREES = FittedSpec(features=(), label=FittedLabel(offset=50, scale=10))
THREE = Multiclass(kind="multiclass", classes=("a", "b", "c"))
LABELS, LOGITS = np.array([1, 0, 1, 0, 1], np.float32), np.array([2, -1, -0.5, 3, 0], np.float32)


def head(task: Binary | Multiclass | Regression, horizon: int | None = None, **settings: Any) -> OutputHead:
    """The head of a task with some of the section `train`."""
    config = TrainConfig.model_validate(settings)
    return head_of(task, DEGREES if isinstance(task, Regression) else NONE, horizon, config.loss, config.class_weights)


def of_numbers(errors: npt.NDArray[np.float64], **loss: object) -> npt.NDArray[np.float64]:
    """The losses of labels that lie so many deviations of ten degrees above the predictions."""
    outputs = np.linspace(-1, 1, len(errors))
    labels = 50 + 10 * (outputs + errors)
    task_head = head(Regression(kind="regression"), loss=loss)
    losses: npt.NDArray[np.float64] = task_head.losses(
        tf.constant(labels, tf.float32), tf.constant(outputs, tf.float32)
    ).numpy()
    return losses


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, None), (2.0, None), (0.5, 0.25), (5.0, 0.9)])
def test_focal_loss_of_two_classes_is_keras_s(gamma: float, alpha: float | None) -> None:
    theirs = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=alpha is not None, alpha=alpha or 0.25, gamma=gamma, from_logits=True, reduction=None
    )
    loss = {"name": "focal", "gamma": gamma, "alpha": alpha}
    ours = head(Binary(), loss=loss).losses(tf.constant(LABELS), tf.constant(LOGITS))
    np.testing.assert_allclose(ours, theirs(LABELS[:, None], LOGITS[:, None]), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_several_classes_is_keras_s(gamma: float) -> None:
    logits = np.array([[2, 0, -1], [0, 0.5, 0], [3, 1, 1]], np.float32)
    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, from_logits=True, reduction=None)
    ours = head(THREE, loss={"name": "focal", "gamma": gamma}).losses(tf.constant([0.0, 1, 2]), tf.constant(logits))
    np.testing.assert_allclose(ours, theirs(np.eye(3, dtype=np.float32), logits), rtol=1e-5)


@pytest.mark.parametrize("task", [Binary(), THREE])
def test_focal_loss_has_a_gradient_where_the_model_is_sure(task: Binary | Multiclass) -> None:
    sure = tf.constant([[300.0, -300.0, 0.0]] if task is THREE else [-300.0, 300.0])
    labels = tf.constant([0.0] if task is THREE else [0.0, 0.0])
    task_head = head(task, loss={"name": "focal", "gamma": 0.5})
    with tf.GradientTape() as tape:
        tape.watch(sure)
        losses = task_head.losses(labels, sure)
    assert losses.numpy().tolist() == ([0.0] if task is THREE else [0.0, 300.0])
    assert np.isfinite(tape.gradient(losses, sure)).all()


def test_losses_of_numbers() -> None:
    errors = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(of_numbers(errors, name="squared"), errors**2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_numbers(errors, name="absolute"), abs(errors), rtol=1e-5, atol=1e-6)
    # Within two deviations half the square; beyond 2 * 3 - 2 = 4.
    np.testing.assert_allclose(of_numbers(errors, name="huber", delta=2), [4, 0.125, 0, 0.125, 4], rtol=1e-5, atol=1e-6)
    # A label above the prediction costs 0.9 a deviation, one below 0.1.
    expected = [0.3, 0.05, 0, 0.45, 2.7]
    np.testing.assert_allclose(of_numbers(errors, name="quantile", quantile=0.9), expected, rtol=1e-5, atol=1e-6)
    own = mean_pinball_loss(errors, np.zeros(5), alpha=0.9)
    assert of_numbers(errors, name="quantile", quantile=0.9).mean() == pytest.approx(own, rel=1e-5)


def test_huber_loss_is_keras_s() -> None:
    errors = np.random.default_rng(1).normal(size=50)
    theirs = keras.losses.Huber(delta=0.7, reduction=None)(errors[:, None].astype(np.float32), np.zeros((50, 1), np.float32))
    np.testing.assert_allclose(of_numbers(errors, name="huber", delta=0.7), theirs, rtol=1e-3, atol=1e-6)


def test_a_horizons_loss_is_its_mean() -> None:
    labels, outputs = tf.constant([[60.0, 50.0], [50.0, 20.0]]), tf.zeros((2, 2))
    losses = head(Regression(kind="regression"), horizon=2, loss={"name": "absolute"}).losses(labels, outputs)
    assert losses.numpy().tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("task", "weights", "expected"),
    [
        (Binary(classes=("on time", "late")), {"late": 3}, [3, 1, 3, 1, 3]),
        (Binary(classes=("on time", "late")), {"0": 0.5, "1": 2}, [2, 0.5, 2, 0.5, 2]),
        (Binary(classes=("on time", "late")), {0: 0.5}, [1, 0.5, 1, 0.5, 1]),  # as YAML reads a bare number
        (Binary(classes=("1", "0")), {"0": 7}, [7, 1, 7, 1, 7]),  # its own names come before the labels
        (THREE, {"a": 0.5, "b": 4}, [4, 0.5, 4, 0.5, 4]),
        (THREE, {"c": 4}, [1, 1, 1, 1, 1]),
    ],
)
def test_weights_of_classes_multiply_the_losses_that_are_trained_on(
    task: Binary | Multiclass, weights: dict[Any, float], expected: list[float]
) -> None:
    weighted = head(task, class_weights=weights)
    outputs = tf.constant(LOGITS if isinstance(task, Binary) else np.stack([LOGITS, -LOGITS, 0 * LOGITS], axis=1))
    plain = head(task).losses(tf.constant(LABELS), outputs)
    np.testing.assert_array_equal(weighted.losses(tf.constant(LABELS), outputs), plain)
    np.testing.assert_allclose(weighted.training_losses(tf.constant(LABELS), outputs), plain * expected, rtol=1e-6)
