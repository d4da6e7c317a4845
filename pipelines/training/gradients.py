"""A step's gradient: of a rank's batch, whole or in parts, and summed over the ranks."""

from __future__ import annotations

from typing import NamedTuple

import horovod.tensorflow as hvd
import keras
import tensorflow as tf

from pipelines.training.batch_norm import rows_of_all_ranks
from pipelines.training.tasks import OutputHead


def gradients_of(
    network: keras.Model, head: OutputHead, inputs: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor, parts: int = 1
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The sum of a batch's losses, times the weights of rows (batch,), and its gradient by trainable variable.

    With several parts the batch is gone through part by part, one after the other, and only the sums are kept: less memory for
    the same result. Parts have to be equal.
    """
    if parts == 1:
        return _gradients(network, head, inputs, labels, weights)
    cut = [_in_parts(values, parts) for values in (*inputs, labels, weights)]

    def add_part(part: tf.Tensor, total: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        *some, own_labels, own_weights = [values[part] for values in cut]
        loss, gradients = _gradients(network, head, some, own_labels, own_weights)
        return part + 1, total + loss, [before + gradient for before, gradient in zip(sums, gradients, strict=True)]

    zeros = (tf.constant(0), tf.constant(0.0), [tf.zeros(variable.shape) for variable in network.trainable_variables])
    _, total, sums = tf.while_loop(lambda part, *_: part < parts, add_part, zeros, parallel_iterations=1)
    return total, sums


class Summed(NamedTuple):
    """All ranks' loss of a step, the mean gradient of its rows, and the seconds that went by until they were there."""

    loss: tf.Tensor
    gradients: list[tf.Tensor]
    seconds: tf.Tensor


def summed_over_ranks(loss: tf.Tensor, gradients: list[tf.Tensor], rows: tf.Tensor, *, compress: bool = False) -> Summed:
    """The sums over all ranks, in one all-reduce; gradients divided by `rows`, the step's true rows on all of them."""
    with tf.control_dependencies([loss, *gradients]):
        began = tf.timestamp()
    with tf.control_dependencies([began]):
        if compress:
            # Sums over many rows may be beyond what float16 can hold (65,504): divided first.
            means = [gradient / rows for gradient in gradients]
            means = hvd.grouped_allreduce(means, op=hvd.Sum, name="gradients", compression=hvd.Compression.fp16)
            summed = hvd.allreduce(loss, op=hvd.Sum, name="loss")
        else:
            summed, *sums = hvd.grouped_allreduce([loss, *gradients], op=hvd.Sum, name="gradients")
            means = [gradient / rows for gradient in sums]
    with tf.control_dependencies([summed, *means]):
        return Summed(summed, means, tf.timestamp() - began)


def _gradients(
    network: keras.Model, head: OutputHead, inputs: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with tf.GradientTape() as tape, rows_of_all_ranks(weights):
        outputs = network(inputs, training=True)
        loss = tf.reduce_sum(head.training_losses(labels, outputs) * weights)
        if network.losses:
            # What layers add (regularizers, add_loss) stands beside the mean loss of a step's rows: here once for each of them.
            loss += tf.add_n([tf.cast(added, tf.float32) for added in network.losses]) * tf.reduce_sum(weights)
    gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
    return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]


def _in_parts(values: tf.Tensor, parts: int) -> tf.Tensor:
    return tf.reshape(values, (parts, values.shape[0] // parts, *values.shape[1:]))
