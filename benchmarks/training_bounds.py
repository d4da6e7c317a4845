"""What training is held against: the cores' own matrix products, and a process that takes a first step and does nothing else.

`python benchmarks/training_bounds.py WORK`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from itertools import pairwise
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.shards import Work
from benchmarks.training_peers import LAYERS, NUMBERS, build, threads

CEILING_SECONDS = 3.0
STEPS_PER_CALL = 16


def bare(work: Work) -> None:
    """The network's first step, traced and run, in a process that does nothing else."""
    import keras
    import tensorflow as tf

    network, optimizer = build(keras.Sequential), keras.optimizers.Adam(1e-3)
    optimizer.build(network.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator] # TensorFlow has no types
    def step(numbers: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = network(numbers, training=True)[:, 0]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs))
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    float(step(tf.zeros((work.batch, NUMBERS)), tf.zeros((work.batch,))))
    work.write_result([], first_step=time.monotonic())


def ceiling(work: Work) -> None:
    """The network's matrix products alone, on a core a process, all at once."""
    cores = sorted(os.sched_getaffinity(0))[: work.ranks]
    context = multiprocessing.get_context("spawn")
    start, speeds_queue = context.Barrier(len(cores)), context.Queue()
    for core in cores:
        context.Process(target=ceiling_of_core, args=(core, work.batch, start, speeds_queue), daemon=True).start()
    speeds = [speeds_queue.get(timeout=120) for _ in cores]
    work.write_result([{"rows": CEILING_SECONDS * sum(speeds), "seconds": CEILING_SECONDS, "loss": 0.0}])


def ceiling_of_core(core: int, batch: int, start: Barrier, speeds_queue: Any) -> None:
    """Rows a second of the products forward (x W) and backward (dW and, but for the first layer's, dX), in a loop.

    Each step has an input of its own, which all of its products depend on: TensorFlow computes what does not change once.
    """
    os.sched_setaffinity(0, [core])
    threads(1)
    import tensorflow as tf

    sizes = [NUMBERS, *LAYERS]
    weights = [tf.random.normal(shape) / shape[0] ** 0.5 for shape in pairwise(sizes)]
    inputs = tf.random.normal((STEPS_PER_CALL, batch, sizes[0]))

    @tf.function  # type: ignore[untyped-decorator]
    def call(inputs: tf.Tensor, *gradients: tf.Tensor) -> tuple[tf.Tensor, ...]:
        for step in tf.range(STEPS_PER_CALL):
            values = [inputs[step]]
            for weight in weights:
                values.append(tf.matmul(values[-1], weight))
            back, products = values.pop(), []
            for value, weight in zip(reversed(values), reversed(weights), strict=True):
                products.append(tf.matmul(value, back, transpose_a=True))
                back = tf.matmul(back, weight, transpose_b=True) if weight is not weights[0] else back
            gradients = tuple(reversed(products))
        return gradients

    gradients = call(inputs, *weights)
    start.wait()
    started, calls = time.monotonic(), 0
    while time.monotonic() - started < CEILING_SECONDS:
        gradients = call(inputs, *gradients)
        calls += 1
    _ = gradients[0].numpy()
    speeds_queue.put(calls * STEPS_PER_CALL * batch / (time.monotonic() - started))


PROGRAMS = {"bare": bare, "ceiling": ceiling}

if __name__ == "__main__":
    work = Work.read(sys.argv[1])
    PROGRAMS[work.program](work)
