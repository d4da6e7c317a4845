"""Batch normalisation over the rows of all ranks. A `.keras` file that has it is loaded after importing this."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

from pipelines.errors import ConfigError

_weights: ContextVar[tf.Tensor | None] = ContextVar("weights", default=None)


@contextmanager
def rows_of_all_ranks(weights: tf.Tensor) -> Iterator[None]:
    """Within, networks that are called in training have batches whose rows weigh `weights` (batch,): 1, or 0 for padding. All
    ranks have to call theirs at once.
    """
    before = _weights.set(weights)
    try:
        yield
    finally:
        _weights.reset(before)


def layers_within(layer: keras.Layer) -> Iterator[keras.Layer]:
    """A layer and all that it is made of."""
    yield layer
    for inner in getattr(layer, "layers", ()):
        yield from layers_within(inner)


def refuse_batch_norm(network: keras.Model) -> None:
    """Raise ConfigError when a network normalises over all rows of a step, which parts of it can't know."""
    if any(isinstance(layer, BatchNorm) for layer in layers_within(network)):
        raise ConfigError(
            "train.accumulation: the network has batch normalisation, which needs all rows of a step at once; expected "
            "accumulation: 1, or a network without."
        )


@keras.saving.register_keras_serializable("ringmill")
class BatchNorm(keras.Layer):  # type: ignore[misc] # Keras has no types
    """(batch, units) to the same less its mean, in deviations, times `gamma`, plus `beta`.

    In training, mean and population variance are those of the true rows of the step on all ranks, wherever these rows lie:
    padding counts nothing, and N ranks at batch B normalise as one rank at batch N * B does. Gradients take account of that.
    Outside a training run, which declares by `rows_of_all_ranks`, and without Horovod they are those of the batch. Otherwise
    they are what training has moved: x → `momentum` x + (1 - `momentum`) of the step's, from 0 and 1 on, the same on all ranks.

    Source: Ioffe and Szegedy, Batch normalization (2015); over ranks: Peng et al., MegDet (2018).
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **options: Any) -> None:
        super().__init__(**options)
        self._momentum, self._epsilon = momentum, epsilon

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights, in float32 whatever the layer computes in."""

        def weight(name: str, initializer: str, *, trainable: bool = True) -> keras.Variable:
            return self.add_weight((shape[-1],), initializer, trainable=trainable, name=name, autocast=False)

        self.gamma, self.beta = weight("gamma", "ones"), weight("beta", "zeros")
        self.moving_mean = weight("moving_mean", "zeros", trainable=False)
        self.moving_variance = weight("moving_variance", "ones", trainable=False)

    def call(self, values: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Normalise values, shape (batch, …), over all ranks' rows while training."""
        values = tf.cast(values, tf.float32)
        if training:
            mean, variance = self._moments(values)
            for moving, batch_value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self._momentum * moving + (1 - self._momentum) * batch_value)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = self.gamma * tf.math.rsqrt(variance + self._epsilon)
        return tf.cast((values - mean) * scale + self.beta, self.compute_dtype)

    def compute_output_spec(self, values: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:  # noqa: ARG002
        """The output has the shape of the input."""
        return keras.KerasTensor(values.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self._momentum, "epsilon": self._epsilon}

    def _moments(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights = _weights.get()
        weighs = tf.ones(tf.shape(values)[:1]) if weights is None else weights
        # In float64, so that the squares' mean less the mean's square is the variance of numbers far from 0, too.
        row, wide = tf.cast(weighs, tf.float64)[None], tf.cast(values, tf.float64)
        sums = tf.concat([tf.reduce_sum(row, axis=1), (row @ wide)[0], (row @ tf.square(wide))[0]], axis=0)
        if weights is not None:
            sums = _summed_over_ranks(sums, f"{self.name}_moments")
        units = values.shape[-1]
        rows, first, second = tf.split(sums, [1, units, units])
        mean = first / rows
        variance = tf.maximum(second / rows - tf.square(mean), 0)
        return tf.cast(mean, tf.float32), tf.cast(variance, tf.float32)


def _summed_over_ranks(sums: tf.Tensor, name: str) -> tf.Tensor:
    import horovod.tensorflow as hvd  # not above: models are loaded where there is none

    return hvd.allreduce(sums, op=hvd.Sum, name=name) if hvd.is_initialized() else sums
