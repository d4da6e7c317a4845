"""A step's gradient: of a rank's batch, whole or in parts, and summed over the ranks."""

from __future__ import annotations

import horovod.tensorflow as hvd
import keras
import tensorflow as tf

from pipelines.training.batch_norm import rows_of_all_ranks
from pipelines.training.tasks import Head


def gradients_of(
    network: keras.Model, head: Head, inputs: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor, parts: int = 1
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The sum of a batch's losses, times the weights of rows (batch,), and its gradient by trainable variable.

    With several parts the batch is gone through part by part, one after the other, and only the sums are kept: less memory for
    the same result. Parts have to be equal.
    """
    if parts == 1:
        return _gradients(network, head, inputs, labels, weights)
    cut = [_in_parts(values, parts) for values in (*inputs, labels, weights)]
    total = tf.constant(0.0)
    sums = [tf.zeros(variable.shape) for variable in network.trainable_variables]
    for part in tf.range(parts):
        tf.autograph.experimental.set_loop_options(parallel_iterations=1)
        *some, own_labels, own_weights = [values[part] for values in cut]
        loss, gradients = _gradients(network, head, some, own_labels, own_weights)
        total += loss
        sums = [before + gradient for before, gradient in zip(sums, gradients, strict=True)]
    return total, sums


def summed_over_ranks(gradients: list[tf.Tensor], rows: tf.Tensor, *, compress: bool = False) -> list[tf.Tensor]:
    """The sum over all ranks of their rows' gradients, divided by `rows`, the step's true number of rows on all of them."""
    if not compress:
        return [each / rows for each in hvd.grouped_allreduce(gradients, op=hvd.Sum, name="gradients")]
    # Sums over many rows may be beyond what float16 can hold (65,504): divided first.
    means = [each / rows for each in gradients]
    summed: list[tf.Tensor] = hvd.grouped_allreduce(means, op=hvd.Sum, name="gradients", compression=hvd.Compression.fp16)
    return summed


def _gradients(
    network: keras.Model, head: Head, inputs: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with tf.GradientTape() as tape, rows_of_all_ranks(weights):
        outputs = network(inputs, training=True)
        loss = tf.reduce_sum(head.training_losses(labels, outputs) * weights)
    gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
    return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]


def _in_parts(values: tf.Tensor, parts: int) -> tf.Tensor:
    return tf.reshape(values, (parts, values.shape[0] // parts, *values.shape[1:]))
