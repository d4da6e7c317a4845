"""Losses by configuration: functions of labels and outputs that give one number a row, or a row and step of the horizon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from pipelines.config import Absolute, Focal, Huber, Loss, Quantile

Losses: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def of_two_classes(loss: Loss | None) -> Losses:
    """The losses, in nats, of labels 0 and 1 (batch,) and logits (batch,): cross-entropy, or focal.

    Focal: -a (1 - p)^gamma ln p, with p the probability of the row's class and a its weight. Source: Lin, Goyal, Girshick, He
    and Dollár, Focal loss for dense object detection (2017), equation 5.
    """
    if not isinstance(loss, Focal):
        return _cross_entropy
    gamma, alpha = loss.gamma, loss.alpha

    def focal(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        # Of logarithms: a power of 1 - p has no gradient where the model is so sure that 1 - p is 0.
        towards = outputs * (2 * labels - 1)
        row_losses = tf.exp(-gamma * tf.nn.softplus(towards)) * tf.nn.softplus(-towards)
        return row_losses if alpha is None else row_losses * (alpha * labels + (1 - alpha) * (1 - labels))

    return focal


def of_classes(loss: Loss | None) -> Losses:
    """The losses, in nats, of labels from 0 (batch,) and logits (batch, classes): cross-entropy, or focal as of two classes."""
    if not isinstance(loss, Focal):
        return lambda labels, outputs: tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), outputs)
    gamma = loss.gamma

    def focal(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        class_ids = tf.cast(labels, tf.int32)
        is_label = tf.one_hot(class_ids, outputs.shape[-1], on_value=True, off_value=False)
        others = tf.reduce_logsumexp(tf.where(is_label, -tf.float32.max, outputs), axis=-1)
        other = others - tf.reduce_logsumexp(outputs, axis=-1)  # the logarithm of 1 - p
        return tf.exp(gamma * other) * tf.nn.sparse_softmax_cross_entropy_with_logits(class_ids, outputs)

    return focal


def of_numbers(loss: Loss | None) -> Losses:
    """The losses of labels and outputs of any shape, both in the label's deviations: squared, absolute, Huber or pinball error.

    Sources: Huber, Robust estimation of a location parameter (1964); Koenker and Bassett, Regression quantiles (1978).
    """
    if isinstance(loss, Absolute):
        return lambda labels, outputs: tf.abs(labels - outputs)
    if isinstance(loss, Huber):
        return lambda labels, outputs: _huber(labels - outputs, loss.delta)
    if isinstance(loss, Quantile):
        return lambda labels, outputs: _pinball(labels - outputs, loss.quantile)
    return lambda labels, outputs: tf.square(labels - outputs)


def _cross_entropy(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)


def _huber(errors: tf.Tensor, delta: float) -> tf.Tensor:
    within = tf.minimum(tf.abs(errors), delta)
    return within * (tf.abs(errors) - within / 2)


def _pinball(errors: tf.Tensor, quantile: float) -> tf.Tensor:
    return tf.maximum(quantile * errors, (quantile - 1) * errors)
