"""The peers on TensorFlow: stock Horovod on Spark, and Keras in one process.

`python benchmarks/training_peers.py WORK`; the first of them under spark-submit. TensorFlow is imported by whoever trains.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from benchmarks.shards import Batch, Shard, Work, stop

STEPS_PER_EXECUTION = 16
NUMBERS, LAYERS = 32, (256, 128, 1)


def threads(number: int) -> None:
    """Let TensorFlow, once it is imported, compute on so many threads."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(number)


def stock(work: Work) -> None:
    """horovod.spark.run on Gloo, each rank one thread."""
    import horovod.spark
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("stock Horovod").getOrCreate()
    called = time.monotonic()
    ranks = horovod.spark.run(stock_rank, args=(tuple(work),), num_proc=work.ranks, use_gloo=True, use_mpi=False, verbose=0)
    epochs, first_step = ranks[0]
    work.write_result(epochs, called=called, first_step=first_step)
    stop(spark)


def stock_rank(work_as_tuple: tuple[Any, ...]) -> tuple[list[dict[str, float]], float]:
    """One rank. horovod.tensorflow.keras's DistributedOptimizer overrides methods that Keras 3 never calls, so each rank would
    train alone, in silence: gradients are averaged by Horovod's tape, within a train_step of the model's own. XLA knows no
    all-reduce.
    """
    threads(1)
    import horovod.tensorflow as hvd
    import keras
    import tensorflow as tf

    class Averaging(keras.Sequential):  # type: ignore[misc] # Keras has no types
        def train_step(self, batch: Any) -> dict[str, Any]:
            numbers, labels = batch
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=labels, y_pred=self(numbers, training=True))
            variables = self.trainable_variables
            gradients = hvd.DistributedGradientTape(tape).gradient(loss, [variable.value for variable in variables])
            self.optimizer.apply(gradients, variables)
            for metric in self.metrics:
                metric.update_state(loss)
            return {metric.name: metric.result() for metric in self.metrics}

    work = Work(*work_as_tuple)
    hvd.init()
    network = build(Averaging)
    hvd.broadcast_variables([variable.value for variable in network.variables], root_rank=0)
    return fit(network, work, hvd.rank(), work.ranks, jit_compile=False)


def keras_alone(work: Work) -> None:
    """Keras fit in one process, a thread a core, on batches as large as those of all ranks together."""
    threads(len(os.sched_getaffinity(0)))
    import keras

    epochs, first_step = fit(build(keras.Sequential), work, 0, 1)
    work.write_result(epochs, first_step=first_step)


def build(kind: Callable[..., Any]) -> Any:
    """The network, as a Keras model of a kind."""
    import keras

    keras.utils.set_random_seed(1)
    dense = [keras.layers.Dense(units, activation="relu", kernel_initializer="he_normal") for units in LAYERS[:-1]]
    return kind([keras.Input((NUMBERS,)), *dense, keras.layers.Dense(LAYERS[-1])])


def fit(network: Any, work: Work, rank: int, ranks: int, **options: Any) -> tuple[list[dict[str, float]], float]:
    """Train by Keras fit on a rank's share, through tf.data; each epoch's figures, and when the first call had ended."""
    import keras
    import tensorflow as tf

    class Clock(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.first_step, self.started, self.seconds = 0.0, 0.0, [0.0] * 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 (Keras names them)
            self.started = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.first_step = self.first_step or time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.seconds.append(time.monotonic() - self.started)

    shard, epoch, clock = Shard(work.train, rank, ranks, work.batch), count(), Clock()

    def batches() -> Iterator[Batch]:
        return shard.epoch(next(epoch))

    kinds = tf.TensorSpec((work.batch, shard.numbers)), tf.TensorSpec((work.batch,))
    data = tf.data.Dataset.from_generator(batches, output_signature=kinds)
    data = data.apply(tf.data.experimental.assert_cardinality(shard.steps)).prefetch(2 * STEPS_PER_EXECUTION)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), loss, steps_per_execution=STEPS_PER_EXECUTION, **options)
    losses = network.fit(data, epochs=work.epochs, callbacks=[clock], verbose=0).history["loss"]
    rows = shard.steps * work.batch * ranks
    epochs = zip(clock.seconds, losses, strict=True)
    return [{"rows": rows, "seconds": seconds, "loss": float(mean_loss)} for seconds, mean_loss in epochs], clock.first_step


PROGRAMS = {"stock": stock, "keras": keras_alone}

if __name__ == "__main__":
    work = Work.read(sys.argv[1])
    PROGRAMS[work.program](work)
