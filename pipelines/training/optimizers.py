"""Optimizers built from the configuration, and their learning rates over a run."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from pipelines.config import Optimizer, Plateau
from pipelines.errors import ConfigError

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule
EXPONENTIAL_END = 0.01  # where an exponential schedule ends that does not say so


class ReduceOnPlateau:
    """The share of its rate that a run still trains at: times `factor` after every `patience` epochs without a better score,
    but no less than `minimum`. Its state is in `variables`, for checkpoints to hold.
    """

    def __init__(self, config: Plateau) -> None:
        self._config = config
        self.share = keras.Variable(1.0, trainable=False, name="plateau_share")
        self._best = keras.Variable(-sys.float_info.max, trainable=False, dtype="float64", name="plateau_best")
        self._since = keras.Variable(0, trainable=False, dtype="int32", name="plateau_since")
        self.variables = [self.share, self._best, self._since]

    def update(self, score: float) -> None:
        """Take account of an epoch's score; more is better. Ranks that get the same bits decide alike."""
        if score > float(self._best.numpy()):
            self._best.assign(score)
            self._since.assign(0)
            return
        epochs = int(self._since.numpy()) + 1
        if epochs == self._config.patience:
            self.share.assign(max(float(self.share.numpy()) * self._config.factor, self._config.minimum))
            epochs = 0
        self._since.assign(epochs)


class Warmup(Schedule):  # type: ignore[misc] # Keras has no types
    """A linear rise from 0 over `warmup` steps to the first rate of another schedule, then that schedule."""

    def __init__(self, after: Schedule, warmup: int) -> None:
        self._after, self._warmup = after, warmup

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        position = tf.cast(step, tf.float32)
        return tf.where(position < self._warmup, position / self._warmup * self._after(0), self._after(position - self._warmup))


class Reduced(Schedule):  # type: ignore[misc]
    """Another schedule, times the share of it that remains after plateaus."""

    def __init__(self, schedule: Schedule, plateau: ReduceOnPlateau) -> None:
        self._schedule, self._plateau = schedule, plateau

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self._schedule(step) * self._plateau.share


class Shifted(Schedule):  # type: ignore[misc]
    """Another schedule, so many steps ahead of the optimizer's own count."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        self._schedule, self._steps = schedule, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self._schedule(step + self._steps)


class _InOneKernel:
    """Adam's step as one kernel a variable, in the place of Keras's dozen of operations; the same formula.

    Source: Kingma and Ba, Adam: a method for stochastic optimization (2015), the form before section 2.1.
    """

    def apply(self: Any, grads: list[tf.Tensor], trainable_variables: list[tf.Variable] | None = None) -> None:
        """Move all variables; what is the same for each of them is worked out once."""
        steps = tf.cast(tf.convert_to_tensor(self.iterations) + 1, tf.float32)
        self._powers = tf.pow(self.beta_1, steps), tf.pow(self.beta_2, steps)
        super().apply(grads, trainable_variables)  # type: ignore[misc] # Keras's

    def update_step(self: Any, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Move one variable, a tf.Variable."""
        if self.amsgrad or variable.dtype != tf.float32:
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return
        index = self._get_variable_index(variable)
        beta1_power, beta2_power = self._powers
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta1_power,
            beta2_power=beta2_power,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )


class Adam(_InOneKernel, keras.optimizers.Adam):  # type: ignore[misc]
    """Keras's Adam, in one kernel a variable."""


class AdamW(_InOneKernel, keras.optimizers.AdamW):  # type: ignore[misc]
    """Keras's AdamW, in one kernel a variable."""


OWN = {"Adam": Adam, "AdamW": AdamW}


class Steps(NamedTuple):
    """The steps of a run, the rows of one, all ranks together, and how many the optimizer has not counted: it has gone on with
    another number of ranks, whose steps are others.
    """

    steps: int
    rows: int
    shift: int = 0


def build_optimizer(optimizer: Optimizer, steps: Steps, plateau: ReduceOnPlateau | None = None) -> keras.optimizers.Optimizer:
    """A Keras optimizer whose schedule, where it has one, runs over the run's steps.

    With `reference_batch` the configured rate is multiplied by rows / reference_batch, once and for the whole run. Source of
    this linear scaling rule: Goyal et al., Accurate, large minibatch SGD (2017), section 2.1, who warm up, too.
    Raises ConfigError on a wrong name or option.
    """
    rate = optimizer.learning_rate * (steps.rows / optimizer.reference_batch if optimizer.reference_batch else 1.0)
    try:
        kind = OWN.get(optimizer.name) or getattr(keras.optimizers, optimizer.name)
        built: keras.optimizers.Optimizer = kind(learning_rate=_scheduled(optimizer, rate, steps, plateau), **optimizer.options)
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"train.optimizer: Keras cannot make {optimizer.name} with {optimizer.options}: {error}. "
            f"Expected a class of keras.optimizers, such as SGD, Adam or AdamW, and its own options."
        ) from error
    return built


def _scheduled(optimizer: Optimizer, rate: float, steps: Steps, plateau: ReduceOnPlateau | None) -> float | Schedule:
    warmup = round(optimizer.warmup * steps.steps)
    if optimizer.schedule == "constant" and not warmup and plateau is None:
        return rate
    decay_steps = max(steps.steps - warmup, 1)
    if optimizer.schedule == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(rate, decay_steps, alpha=optimizer.final or 0.0)
    else:
        end = 1.0 if optimizer.schedule == "constant" else optimizer.final or EXPONENTIAL_END
        schedule = keras.optimizers.schedules.ExponentialDecay(rate, decay_steps, end)
    if warmup:
        schedule = Warmup(schedule, warmup)
    if steps.shift:
        schedule = Shifted(schedule, steps.shift)
    return schedule if plateau is None else Reduced(schedule, plateau)
