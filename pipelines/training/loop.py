"""The training loop of one rank: compiled calls of several steps, gradients summed over the ring, exact losses.

The gradient of a step is the sum over all ranks of the rows' gradients, divided by the step's true number of rows, so a
partial last batch weighs what its rows weigh and N ranks at batch B compute what one rank computes at batch N * B.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import horovod.tensorflow as hvd
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.training.feed import Chunk

SCORE_BINS = 1 << 14


class Validation(NamedTuple):
    """Mean loss (nats a row) and AUC of a split over all ranks."""

    loss: float
    auc: float


class Loop:
    """The state of one rank's training: network, optimizer and the compiled functions over them."""

    def __init__(self, network: keras.Model, optimizer: keras.optimizers.Optimizer, shape: Chunk) -> None:
        self.network = network
        self.optimizer = optimizer
        optimizer.build(network.trainable_variables)
        signature = [
            tf.TensorSpec(shape.numbers.shape, tf.float32),
            tf.TensorSpec(shape.ids.shape, tf.int32),
            tf.TensorSpec(shape.labels.shape, tf.float32),
            tf.TensorSpec(shape.weights.shape, tf.float32),
            tf.TensorSpec((shape.labels.shape[0],), tf.float32),
            tf.TensorSpec((), tf.int32),
        ]
        self._train = tf.function(self._train_steps, input_signature=signature)
        self._score = tf.function(self._score_steps, input_signature=[*signature[:4], signature[5]])

    @property
    def variables(self) -> list[keras.Variable]:
        """All state that a checkpoint holds: weights, then the optimizer's own."""
        return [*self.network.variables, *self.optimizer.variables]

    def broadcast(self) -> None:
        """Give every rank rank 0's weights and optimizer state."""
        hvd.broadcast_variables([variable.value for variable in self.variables], root_rank=0)

    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def train_epoch(
        self, chunks: Iterator[Chunk], step_rows: npt.NDArray[np.float32], tell: Callable[[int, float], None]
    ) -> float:
        """Train on an epoch's chunks and return the mean loss over all ranks' rows, in nats a row.

        `step_rows` (steps,) is what all ranks train on at each step; `tell` hears, after each call, the steps done and
        this rank's sum of losses.
        """
        total, step = 0.0, 0
        for chunk in chunks:
            rows = np.ones(chunk.labels.shape[0], np.float32)
            rows[: chunk.steps] = step_rows[step : step + chunk.steps]
            loss = self._train(chunk.numbers, chunk.ids, chunk.labels, chunk.weights, rows, np.int32(chunk.steps))
            total += float(loss)
            step += chunk.steps
            tell(step, total)
        return float(self._sum([total])[0]) / float(step_rows.sum())

    def validate(self, chunks: Iterator[Chunk], rows: int) -> Validation:
        """Loss and AUC over all ranks' rows of a split.

        AUC is from a histogram of scores in 16,384 equal bins: exact up to pairs of unlike labels that share a bin, which
        count half.
        """
        sums = np.zeros(1 + 2 * SCORE_BINS)
        for chunk in chunks:
            loss, histogram = self._score(chunk.numbers, chunk.ids, chunk.labels, chunk.weights, np.int32(chunk.steps))
            sums[0] += float(loss)
            sums[1:] += histogram.numpy().reshape(-1)
        summed = self._sum(sums)
        return Validation(float(summed[0]) / rows, histogram_auc(summed[1:].reshape(2, -1)))

    def _train_steps(
        self,
        numbers: tf.Tensor,
        ids: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
        rows: tf.Tensor,
        steps: tf.Tensor,
    ) -> tf.Tensor:
        total = tf.constant(0.0, tf.float64)
        for step in tf.range(steps):
            with tf.GradientTape() as tape:
                logits = self.network([numbers[step], ids[step]], training=True)
                losses = tf.nn.sigmoid_cross_entropy_with_logits(labels[step], logits) * weights[step]
                loss = tf.reduce_sum(losses)
            variables = self.network.trainable_variables
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
            summed = hvd.grouped_allreduce(dense, op=hvd.Sum, name="gradients")
            self.optimizer.apply([gradient / rows[step] for gradient in summed], variables)
            total += tf.cast(loss, tf.float64)
        return total

    def _score_steps(
        self, numbers: tf.Tensor, ids: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, steps: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        total = tf.constant(0.0, tf.float64)
        histogram = tf.zeros((2, SCORE_BINS), tf.float64)
        for step in tf.range(steps):
            logits = self.network([numbers[step], ids[step]], training=False)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels[step], logits) * weights[step]
            total += tf.cast(tf.reduce_sum(losses), tf.float64)
            bins = tf.minimum(tf.cast(tf.sigmoid(logits) * SCORE_BINS, tf.int32), SCORE_BINS - 1)
            for label in (0, 1):
                mass = weights[step] * tf.cast(tf.equal(labels[step], float(label)), tf.float32)
                counts = tf.math.unsorted_segment_sum(tf.cast(mass, tf.float64), bins, SCORE_BINS)
                histogram += tf.one_hot(label, 2, dtype=tf.float64)[:, None] * counts[None, :]
        return total, histogram

    def _sum(self, values: list[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        tensor = tf.constant(values, tf.float64)
        summed: npt.NDArray[np.float64] = hvd.allreduce(tensor, op=hvd.Sum, name="sums").numpy()
        return summed


def histogram_auc(histogram: npt.NDArray[np.float64]) -> float:
    """Area under the ROC curve from counts by score, shape (2, bins): row 0 negatives, row 1 positives.

    The share of (negative, positive) pairs that the score orders rightly, ties half. Source: Fawcett, An introduction to
    ROC analysis (2006), section 7. NaN when a class is empty.
    """
    negatives, positives = histogram
    below = np.cumsum(negatives) - negatives
    pairs = negatives.sum() * positives.sum()
    return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else float("nan")
