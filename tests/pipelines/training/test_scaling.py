"""Numeric features are scaled side by side, each by its own numbers, in the order of the spec."""

import numpy as np

from pipelines.features.fitted import FittedCyclic, FittedNumeric, FittedSpec
from pipelines.training.preprocessing import build_preprocessing


def test_each_number_is_filled_clipped_bent_and_scaled_by_its_own() -> None:
    spec = FittedSpec(
        features=(
            FittedNumeric(name="a", fill=1.0, clip=None, log1p=False, offset=1.0, scale=2.0, indicator=True),
            FittedCyclic(name="c", fill=0.0, period=4.0),
            FittedNumeric(name="b", fill=3.0, clip=(-1.0, 5.0), log1p=False, offset=0.0, scale=4.0),
            FittedNumeric(name="d", fill=0.0, clip=None, log1p=True, offset=0.0, scale=1.0, indicator=True),
        )
    )
    raw = {
        "a": [5.0, np.nan, -3.0],
        "b": [9.0, -9.0, np.nan],
        "c": [1.0, 2.0, np.nan],
        "d": [np.e - 1, np.nan, 0.0],
    }
    numbers, ids = build_preprocessing(spec)({name: np.array(values) for name, values in raw.items()})
    # a, a_missing, c_sin, c_cos, b, d, d_missing: the spec's order.
    expected = [
        [2.0, 0.0, 1.0, 0.0, 1.25, 1.0, 0.0],
        [0.0, 1.0, 0.0, -1.0, -0.25, 0.0, 1.0],
        [-2.0, 0.0, 0.0, 1.0, 0.75, 0.0, 0.0],
    ]
    np.testing.assert_allclose(np.array(numbers), expected, atol=1e-7)
    assert ids.shape == (3, 0)


def test_a_graph_has_no_operation_for_each_feature() -> None:
    def operations(features: int) -> int:
        numbers = tuple(
            FittedNumeric(name=f"n{at}", fill=1.0, clip=(-2.0, 2.0), log1p=False, offset=0.5, scale=2.0, indicator=True)
            for at in range(features)
        )
        return len(build_preprocessing(FittedSpec(features=numbers)).operations) - features  # but its input

    assert operations(200) == operations(2)
