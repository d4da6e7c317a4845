"""The loop's own arithmetic, and its count of steps."""

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from pipelines.config import Binary, Network
from pipelines.features.columns import aligned
from pipelines.features.ranking import area_under_roc
from pipelines.training import loop as training_loop
from pipelines.training.feed import Chunk
from pipelines.training.gradients import Summed
from pipelines.training.loop import Loop, tensor_of
from pipelines.training.networks import build_network
from pipelines.training.tasks import head_of
from tests.pipelines.training.test_gradients import SPEC


@given(arrays(np.int64, (2, 12), elements=st.integers(0, 9)))
def test_auc_of_a_histogram_is_scikit_learns(histogram: npt.NDArray[np.int64]) -> None:
    labels, bins = np.nonzero(histogram)
    counts = histogram[labels, bins]
    if len(set(labels)) < 2:
        assert np.isnan(area_under_roc(*histogram.astype(float)))
        return
    expected = roc_auc_score(np.repeat(labels, counts), np.repeat(bins, counts))
    np.testing.assert_allclose(area_under_roc(*histogram.astype(float)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("skipped", [0, 1])
def test_only_an_aligned_array_becomes_a_tensor_without_a_copy(skipped: int) -> None:
    values = aligned((9,), np.float32)[skipped:]
    values[...] = 1
    tensor = tensor_of(values)
    values[...] = 2
    assert tensor.numpy().tolist() == [1 if skipped else 2] * len(values)


def test_steps_are_counted_while_their_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def of_one_rank(loss: tf.Tensor, gradients: list[tf.Tensor], rows: tf.Tensor, *, compress: bool) -> Summed:
        """The step's own gradients, and a look at the counter as a heartbeat takes it."""
        with tf.control_dependencies([tf.py_function(lambda: seen.append(loop.computed()), [], [])]):
            return Summed(tf.identity(loss), [gradient / rows for gradient in gradients], tf.constant(0.0, tf.float64))

    monkeypatch.setattr(training_loop, "summed_over_ranks", of_one_rank)
    steps, batch = 5, 4
    inputs = (np.ones((steps, batch, 1), np.float32), np.ones((steps, batch, 1), np.int32))
    chunk = Chunk(steps - 1, inputs, np.ones((steps, batch), np.float32), np.ones((steps, batch), np.float32))
    network, head = build_network(Network(hidden=(3,)), SPEC, None, "float32"), head_of(Binary(), SPEC, None, None, {})
    loop = Loop(network, keras.optimizers.SGD(), head, chunk)
    assert loop.computed() == 0
    loop.train(chunk, np.full(steps - 1, batch, np.float32))
    assert seen == [0, 1, 2, 3]
    loop._score(*training_loop._batches(chunk), tf.constant(2))
    assert loop.computed() == steps - 1 + 2
