"""The loop's own arithmetic."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from pipelines.features.columns import aligned
from pipelines.features.ranking import area_under_roc
from pipelines.training.loop import tensor_of


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
