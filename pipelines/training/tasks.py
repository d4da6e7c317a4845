"""What is predicted, as the loop sees it: outputs, loss, what they mean to others, and the metric to watch."""

from __future__ import annotations

from typing import Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.config import ClassWeights, Loss, Multiclass, Regression, Task, weights_by_label
from pipelines.features.fitted import FittedLabel, FittedSpec
from pipelines.features.ranking import area_under_roc
from pipelines.training import losses

SCORE_BINS = 1 << 16
LOGITS = 16.0  # a probability of 1e-7 and less is one bin


class OutputHead(Protocol):
    """One kind of task. Outputs are what the network gives: (batch,), or (batch, `outputs`) where that is a number."""

    outputs: int | None
    sums: int

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of each row, shape (batch,)."""

    def training_losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The same, times the weight of the row's class: what gradients are taken of."""

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """Outputs as those who use the model read them: probabilities, or numbers in the label's unit."""

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """`sums` sums over the rows (float64) from which, added up over batches and ranks, `metric` is worked out."""

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:
        """The name and value of the metric, of so many rows."""


class _OfClasses:
    """What tasks of two classes and of more have in common."""

    def __init__(self, row_loss: losses.Losses, weights: tuple[float, ...]) -> None:
        self._row_loss = row_loss
        self._weights = weights

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of each row, in nats."""
        return self._row_loss(labels, outputs)

    def training_losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Times the weight of the label's class."""
        row_losses = self._row_loss(labels, outputs)
        return row_losses * tf.gather(tf.constant(self._weights), tf.cast(labels, tf.int32)) if self._weights else row_losses


class BinaryHead(_OfClasses):
    """A logit; its sigmoid's cross-entropy or focal loss in nats; AUC from a histogram of logits, bins 0.0005 wide between -16
    and 16: exact up to pairs of unlike labels that share a bin, which count half. Of probabilities rare events would share few.
    """

    outputs: int | None = None
    sums = 2 * SCORE_BINS

    def __init__(self, loss: Loss | None = None, weights: tuple[float, ...] = ()) -> None:
        super().__init__(losses.of_two_classes(loss), weights)

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """The probability of the label."""
        return keras.ops.sigmoid(outputs)

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Rows by class and score, one class after the other."""
        bins = tf.clip_by_value(tf.cast((outputs / LOGITS + 1) * (SCORE_BINS / 2), tf.int32), 0, SCORE_BINS - 1)
        cells = bins + tf.cast(labels, tf.int32) * SCORE_BINS
        return tf.math.unsorted_segment_sum(tf.cast(weights, tf.float64), cells, self.sums)

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:  # noqa: ARG002 - heads share it
        """Area under the ROC curve."""
        return "validation_auc", area_under_roc(*sums.reshape(2, -1))


class MulticlassHead(_OfClasses):
    """A logit a class; the softmax's cross-entropy or focal loss in nats; accuracy."""

    sums = 1

    def __init__(self, classes: int, loss: Loss | None = None, weights: tuple[float, ...] = ()) -> None:
        super().__init__(losses.of_classes(loss), weights)
        self.outputs: int | None = classes

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """The probability of each class."""
        return keras.ops.softmax(outputs)

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """How many rows are classified rightly."""
        right = tf.equal(tf.argmax(outputs, axis=-1, output_type=tf.int32), tf.cast(labels, tf.int32))
        return tf.reduce_sum(tf.cast(right, tf.float64) * tf.cast(weights, tf.float64), keepdims=True)

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:
        """The share of rows classified rightly."""
        return "validation_accuracy", float(sums[0]) / rows


class RegressionHead:
    """A number, or one a step of the horizon, transformed and scaled as the label is; its loss, whose mean is taken over the
    horizon. Losses, and with them gradients, are those of the transformed scale; the metric is in the label's own unit.
    """

    sums = 1

    def __init__(self, label: FittedLabel, horizon: int | None, loss: Loss | None = None) -> None:
        self.outputs = horizon
        self._label = label
        self._row_loss = losses.of_numbers(loss)

    def losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Of errors in the deviations of the label, or of log(1 + label) (squares of them for the squared error)."""
        values = tf.math.log1p(labels) if self._label.transform == "log1p" else labels
        errors = self._row_loss((values - self._label.offset) / self._label.scale, outputs)
        return errors if self.outputs is None else tf.reduce_mean(errors, axis=-1)

    def training_losses(self, labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The same: no row counts for more than another."""
        return self.losses(labels, outputs)

    def link(self, outputs: tf.Tensor) -> tf.Tensor:
        """Numbers in the label's unit, with `clip` from the train split's least label to its greatest."""
        values = outputs * self._label.scale + self._label.offset
        if self._label.transform == "log1p":
            values = keras.ops.expm1(values)
        return keras.ops.clip(values, self._label.minimum, self._label.maximum) if self._label.clip else values

    def measured(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The sum of absolute errors, of a horizon their mean."""
        errors = tf.cast(tf.abs(labels - self.link(outputs)), tf.float64)
        row_errors = errors if self.outputs is None else tf.reduce_mean(errors, axis=-1)
        return tf.reduce_sum(row_errors * tf.cast(weights, tf.float64), keepdims=True)

    def metric(self, sums: npt.NDArray[np.float64], rows: int) -> tuple[str, float]:
        """Mean absolute error, in the label's unit."""
        return "validation_mae", float(sums[0]) / rows


def head_of(
    task: Task, spec: FittedSpec, horizon: int | None, loss: Loss | None = None, class_weights: ClassWeights | None = None
) -> OutputHead:
    """The head of a configured task, its loss and its weights by class: those that training multiplies losses by."""
    if isinstance(task, Regression):
        assert spec.label is not None, "a regression's features are fitted with its label's scaling"
        return RegressionHead(spec.label, horizon, loss)
    weights = weights_by_label(class_weights or {}, task)
    return MulticlassHead(len(task.classes), loss, weights) if isinstance(task, Multiclass) else BinaryHead(loss, weights)
