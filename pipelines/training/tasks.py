"""What is predicted, as the loop sees it: outputs, loss, what they mean to others, and the metric to watch."""

from __future__ import annotations

from typing import Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.config import Binary, Multiclass, Task
from pipelines.fitted import FittedLabel, FittedSpec

SCORE_BINS = 1 << 14


class Head(Protocol):
    """One kind of task. Outputs are what the network gives: (batch,), or (batch, `outputs`) where that is a number."""

    outputs: int | None
    sums: int

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of each row, shape (batch,)."""

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """Outputs as those who use the model read them: probabilities, or numbers in the label's unit."""

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """`sums` sums over the rows (float64) from which, added up over batches and ranks, `metric` is worked out."""

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:
        """The name and value of the metric, of so many rows."""


class BinaryHead:
    """A logit; sigmoid cross-entropy in nats; AUC from a histogram of scores in 16,384 equal bins: exact up to pairs of unlike
    labels that share a bin, which count half.
    """

    outputs: int | None = None
    sums = 2 * SCORE_BINS

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Cross-entropy, in nats."""
        return tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """The probability of the label."""
        return keras.ops.sigmoid(outputs)

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Rows by class and score, one class after the other."""
        bins = tf.minimum(tf.cast(tf.sigmoid(outputs) * SCORE_BINS, tf.int32), SCORE_BINS - 1)
        places = bins + tf.cast(labels, tf.int32) * SCORE_BINS
        return tf.math.unsorted_segment_sum(tf.cast(weights, tf.float64), places, self.sums)

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:  # noqa: ARG002 - heads share it
        """Area under the ROC curve."""
        return "validation_auc", histogram_auc(sums.reshape(2, -1))


class MulticlassHead:
    """A logit a class; softmax cross-entropy in nats; accuracy."""

    sums = 1

    def __init__(self, classes: int) -> None:
        self.outputs: int | None = classes

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Cross-entropy, in nats."""
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), outputs)

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """The probability of each class."""
        return keras.ops.softmax(outputs)

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """How many rows are told rightly."""
        right = tf.equal(tf.argmax(outputs, axis=-1, output_type=tf.int32), tf.cast(labels, tf.int32))
        return tf.reduce_sum(tf.cast(right, tf.float64) * tf.cast(weights, tf.float64), keepdims=True)

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:
        """The share of rows told rightly."""
        return "validation_accuracy", float(sums[0]) / rows


class RegressionHead:
    """A number, or one a step of the horizon, scaled as the label is; squared error, its mean over the horizon."""

    sums = 1

    def __init__(self, label: FittedLabel, horizon: int | None) -> None:
        self.outputs = horizon
        self._label = label

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Squared error, in squares of the label's deviation."""
        errors = tf.square((labels - self._label.offset) / self._label.scale - outputs)
        return errors if self.outputs is None else tf.reduce_mean(errors, axis=-1)

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """Numbers in the label's unit."""
        return outputs * self._label.scale + self._label.offset

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The sum of absolute errors, of a horizon their mean."""
        errors = tf.cast(tf.abs(labels - self.link(outputs)), tf.float64)
        each = errors if self.outputs is None else tf.reduce_mean(errors, axis=-1)
        return tf.reduce_sum(each * tf.cast(weights, tf.float64), keepdims=True)

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:
        """Mean absolute error, in the label's unit."""
        return "validation_mae", float(sums[0]) / rows


def head_of(task: Task, spec: FittedSpec, horizon: int | None) -> Head:
    """The head of a configured task."""
    if isinstance(task, Binary):
        return BinaryHead()
    if isinstance(task, Multiclass):
        return MulticlassHead(len(task.classes))
    assert spec.label is not None, "a regression's features are fitted with its label's scaling"
    return RegressionHead(spec.label, horizon)


def histogram_auc(histogram: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve from counts by score, shape (2, bins): row 0 negatives, row 1 positives.

    The share of (negative, positive) pairs that the score orders rightly, ties half. Source: Fawcett, An introduction to
    ROC analysis (2006), section 7. NaN when a class is empty.
    """
    negatives, positives = histogram
    below = np.cumsum(negatives) - negatives
    pairs = negatives.sum() * positives.sum()
    return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else float("nan")
