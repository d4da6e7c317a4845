"""The training loop of one rank: compiled calls of several steps, gradients summed over the ring, exact losses.

The gradient of a step is the sum over all ranks of the rows' gradients, divided by the step's true number of rows, so a
partial last batch weighs what its rows weigh and N ranks at batch B compute what one rank computes at batch N * B. Weights
of classes multiply losses and gradients, and not the number of rows that these are divided by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import horovod.tensorflow as hvd
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.features.columns import ALIGNMENT
from pipelines.training.batch_norm import refuse_batch_norm
from pipelines.training.feed import Chunk
from pipelines.training.gradients import gradients_of, summed_over_ranks
from pipelines.training.optimizers import ReduceOnPlateau
from pipelines.training.tasks import OutputHead

Compiled: TypeAlias = Callable[..., Any]  # a traced function of tensors


class ValidationMetrics(NamedTuple):
    """Mean loss of a split over all ranks, and its task's metric by name."""

    loss: float
    metric: str
    value: float


class Call(NamedTuple):
    """What a compiled call of several steps gave.

    The sum of all ranks' losses; the first step whose gradient was no number, beyond the last one where all were; and the
    seconds that went by in the all-reduce, waiting for the others included.
    """

    loss: float
    bad: int
    wait: float


class Loop:
    """The state of one rank's training: network, optimizer and the compiled functions over them.

    A batch's gradient is worked out in `parts`; with `compress` ranks send each other float16. Raises ConfigError when the
    network needs all rows of a step at once and there are several parts.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        head: OutputHead,
        shape: Chunk,
        plateau: ReduceOnPlateau | None = None,
        *,
        parts: int = 1,
        compress: bool = False,
    ) -> None:
        if parts > 1:
            refuse_batch_norm(network)
        self.network = network
        self.optimizer = optimizer
        self.plateau = plateau
        self._head = head
        self._parts, self._compress = parts, compress
        optimizer.build(network.trainable_variables)
        inputs = [tf.TensorSpec(values.shape, tf.as_dtype(values.dtype)) for values in shape.inputs]
        self._batches = (inputs, tf.TensorSpec(shape.labels.shape, tf.float32), tf.TensorSpec(shape.weights.shape, tf.float32))
        self._steps_at_most = shape.labels.shape[0]
        with tf.device("CPU:0"):
            self._computed = tf.Variable(0, dtype=tf.int64)

    @property
    def variables(self) -> list[keras.Variable]:
        """All state that a checkpoint holds: weights, the optimizer's own, then the plateau's."""
        return [*self.network.variables, *self.optimizer.variables, *(self.plateau.variables if self.plateau else [])]

    def broadcast(self) -> None:
        """Give every rank rank 0's weights and optimizer state.

        One variable after the other: `hvd.broadcast_variables` has AutoGraph translate Horovod's own code, half a second.
        """
        for number, variable in enumerate(self.variables):
            variable.assign(hvd.broadcast(variable.value, root_rank=0, name=f"variable_{number}"))

    def computed(self) -> int:
        """Steps computed so far, of training and of scoring; any thread may ask, also while a call goes on."""
        return int(self._computed.numpy())

    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def train(self, chunk: Chunk, rows: npt.NDArray[np.float32]) -> Call:
        """Train on a chunk; `rows` (chunk.steps,) is what all ranks together train on at each of its steps."""
        padded = np.ones(self._steps_at_most, np.float32)
        padded[: chunk.steps] = rows
        results = self._train(*_batches(chunk), tf.constant(padded), tf.constant(chunk.steps))
        loss, bad, wait = (value.numpy() for value in results)
        return Call(float(loss), int(bad), float(wait))

    def validate(self, chunks: Iterator[Chunk], rows: int) -> ValidationMetrics:
        """Loss and metric over all ranks' rows of a split."""
        loss: float = 0.0
        measured: npt.NDArray[np.float64] | None = None
        for chunk in chunks:
            batch_loss, sums = self._score(*_batches(chunk), tf.constant(chunk.steps))
            loss += float(batch_loss)
            measured = sums.numpy() if measured is None else measured + sums.numpy()
        assert measured is not None, "each rank has at least one chunk, if only of padding"
        summed = self._sum(np.concatenate([[loss], measured]))
        return ValidationMetrics(float(summed[0]) / rows, *self._head.metric(summed[1:], rows))

    @cached_property
    def _train(self) -> Compiled:
        return self._compiled(self._train_steps, tf.TensorSpec((self._steps_at_most,), tf.float32))

    @cached_property
    def _score(self) -> Compiled:
        return self._compiled(self._score_steps)

    def _compiled(self, steps: Callable[..., Any], *more: tf.TensorSpec) -> Compiled:
        """A function of a chunk's batches, `more` and its number of steps, for one shape: a call looks for no other.

        Loops are written as graphs have them: AutoGraph takes four times as long to translate it all as it takes to trace.
        """
        signature = [*self._batches, *more, tf.TensorSpec((), tf.int32)]
        compiled: Compiled = tf.function(steps, input_signature=signature, autograph=False).get_concrete_function()
        return compiled

    def _train_steps(
        self, inputs: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor, rows: tf.Tensor, steps: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def train(
            step: tf.Tensor, total: tf.Tensor, bad: tf.Tensor, wait: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
            batch = [values[step] for values in inputs]
            loss, gradients = gradients_of(self.network, self._head, batch, labels[step], weights[step], self._parts)
            summed = summed_over_ranks(loss, gradients, rows[step], compress=self._compress)
            self.optimizer.apply(summed.gradients, self.network.trainable_variables)
            # Any that is no number makes the sum none. The loss alone would not do: ReLU makes zeros of what is no number.
            checked = tf.add_n([summed.loss, *map(tf.reduce_sum, summed.gradients)])
            bad = tf.where(tf.math.is_finite(checked), bad, tf.minimum(bad, step))
            self._count(checked)
            return step + 1, total + tf.cast(summed.loss, tf.float64), bad, wait + summed.seconds

        zero = tf.constant(0.0, tf.float64)
        _, total, bad, wait = tf.while_loop(lambda step, *_: step < steps, train, (tf.constant(0), zero, steps, zero))
        return total, bad, wait

    def _score_steps(
        self, inputs: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor, steps: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        def score(step: tf.Tensor, total: tf.Tensor, measured: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            loss, sums = self._measured(inputs, labels, weights, step)
            self._count(loss)
            return step + 1, total + loss, measured + sums

        zeros = (tf.constant(0), tf.constant(0.0, tf.float64), tf.zeros((self._head.sums,), tf.float64))
        _, total, measured = tf.while_loop(lambda step, *_: step < steps, score, zeros)
        return total, measured

    def _count(self, result: tf.Tensor) -> None:
        """Count one step, in the graph, once its result is there."""
        with tf.control_dependencies([result]):
            self._computed.assign_add(1)

    def _measured(
        self, inputs: list[tf.Tensor], labels: tf.Tensor, weights: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = self.network([values[step] for values in inputs], training=False)
        losses = self._head.losses(labels[step], outputs) * weights[step]
        return tf.cast(tf.reduce_sum(losses), tf.float64), self._head.measured(labels[step], outputs, weights[step])

    def _sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sums over all ranks, the same bits on each: what is decided by them is decided alike."""
        summed = hvd.allreduce(tf.constant(values, tf.float64), op=hvd.Sum, name="sums")
        sums: npt.NDArray[np.float64] = hvd.broadcast(summed, root_rank=0, name="sums of rank 0").numpy()
        return sums


def _batches(chunk: Chunk) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """A chunk's inputs, labels and weights as tensors."""
    return [*map(tensor_of, chunk.inputs)], tensor_of(chunk.labels), tensor_of(chunk.weights)


def tensor_of(values: npt.NDArray[Any]) -> tf.Tensor:
    """A tensor in the array's own memory, where that is aligned; otherwise a copy.

    What is not aligned DLPack would share as well, and kernels read it by instructions that want it to be.
    """
    if values.size and values.ctypes.data % ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
    return tf.constant(values)
