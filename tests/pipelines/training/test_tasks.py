"""Losses and metrics of each task, by hand and by scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from pipelines.config import Binary, Multiclass, Regression
from pipelines.features.fitted import FittedLabel, FittedSpec
from pipelines.training.tasks import head_of

NONE = FittedSpec(features=())
DEGREES = FittedSpec(features=(), label=FittedLabel(offset=50, scale=10))
WEIGHTS = tf.constant([1.0, 1.0, 1.0, 0.0])  # the last is padding


def test_binary() -> None:
    head = head_of(Binary(), NONE, None)
    labels, outputs = tf.constant([1.0, 0.0, 1.0, 0.0]), tf.constant([2.0, -1.0, -0.5, 9.0])
    probability = 1 / (1 + np.exp(-outputs.numpy()))
    expected = -np.log(np.where(labels.numpy() > 0, probability, 1 - probability))
    np.testing.assert_allclose(head.losses(labels, outputs), expected, rtol=1e-4)
    np.testing.assert_allclose(head.link(outputs), probability, rtol=1e-6)
    sums = head.measured(labels, outputs, WEIGHTS).numpy()
    assert sums.shape == (head.sums,)
    assert head.metric(sums, 3) == ("validation_auc", metrics.roc_auc_score([1, 0, 1], outputs.numpy()[:3]))


def test_auc_of_rare_events_is_scikit_learns() -> None:
    random = np.random.default_rng(3)
    labels = (random.random(20_000) < 0.01).astype(np.float32)
    outputs = (random.normal(-8, 0.3, 20_000) + 0.3 * labels).astype(np.float32)  # probabilities near 0.0003
    head = head_of(Binary(), NONE, None)
    name, value = head.metric(head.measured(tf.constant(labels), tf.constant(outputs), tf.ones(20_000)).numpy(), 20_000)
    assert name == "validation_auc"
    assert value == pytest.approx(metrics.roc_auc_score(labels, outputs), abs=5e-5)


def test_multiclass() -> None:
    head = head_of(Multiclass(kind="multiclass", classes=("a", "b", "c")), NONE, None)
    labels, outputs = tf.constant([0.0, 2.0, 1.0, 0.0]), tf.constant([[2.0, 0, 0], [0, 0, 1.0], [3.0, 0, 0], [9.0, 0, 0]])
    probability = np.exp(outputs.numpy()) / np.exp(outputs.numpy()).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.link(outputs), probability, rtol=1e-6)
    np.testing.assert_allclose(head.losses(labels, outputs), -np.log(probability[range(4), [0, 2, 1, 0]]), rtol=1e-3)
    assert head.outputs == 3
    name, value = head.metric(head.measured(labels, outputs, WEIGHTS).numpy(), 3)
    assert name == "validation_accuracy"
    assert value == pytest.approx(2 / 3)


def test_regression() -> None:
    head = head_of(Regression(kind="regression"), DEGREES, None)
    labels, outputs = tf.constant([60.0, 50.0, 30.0, 0.0]), tf.constant([0.5, 0.0, -2.5, 9.0])
    assert head.link(outputs).numpy().tolist() == [55, 50, 25, 140]
    assert head.losses(labels, outputs).numpy()[:3].tolist() == [0.25, 0, 0.25]  # in squares of ten degrees
    name, value = head.metric(head.measured(labels, outputs, WEIGHTS).numpy(), 3)
    assert name == "validation_mae"
    assert value == pytest.approx(10 / 3)


def test_regression_with_a_horizon() -> None:
    head = head_of(Regression(kind="regression"), DEGREES, 2)
    labels = tf.constant([[60.0, 50.0], [50.0, 40.0], [50.0, 50.0], [0.0, 0.0]])
    outputs = tf.constant([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [9.0, 9.0]])
    assert head.losses(labels, outputs).numpy()[:3].tolist() == [0.5, 0.5, 0.5]
    name, value = head.metric(head.measured(labels, outputs, WEIGHTS).numpy(), 3)
    assert name == "validation_mae"
    assert value == pytest.approx(5)


@pytest.mark.parametrize("horizon", [None, 2])
def test_losses_are_of_log1p_and_metrics_and_predictions_in_the_labels_unit(horizon: int | None) -> None:
    label = FittedLabel(offset=2.0, scale=0.5, transform="log1p", clip=True, minimum=0.0, maximum=30.0)
    head = head_of(Regression(kind="regression", transform="log1p", clip=True), FittedSpec(features=(), label=label), horizon)
    shape = (4,) if horizon is None else (2, 2)
    labels = np.array([0.0, 1e-6, 30.0, 12.5], np.float32).reshape(shape)
    outputs = np.array([-4.0, -9.0, 1.0, 9.0], np.float32).reshape(shape)
    scaled = (np.log1p(labels.astype(np.float64)) - 2.0) / 0.5
    squares = (scaled - outputs) ** 2
    predicted = np.clip(np.expm1(outputs * 0.5 + 2.0), 0, 30)  # expm1(0) and less, expm1(2.5) = 11.2, and beyond 30
    np.testing.assert_allclose(head.losses(labels, outputs), squares if horizon is None else squares.mean(-1), rtol=1e-5)
    np.testing.assert_allclose(head.link(outputs), predicted, rtol=1e-6, atol=1e-6)
    assert head.link(outputs).numpy().min() == 0
    assert head.link(outputs).numpy().max() == 30
    errors = np.abs(predicted - labels)
    each = errors if horizon is None else errors.mean(-1)
    sums = head.measured(tf.constant(labels), tf.constant(outputs), tf.ones(len(labels))).numpy()
    name, value = head.metric(sums, len(labels))
    assert name == "validation_mae"
    assert value == pytest.approx(each.mean(), rel=1e-6)
