"""Raw rows that no data has: what replaces a value, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.features.fitted import FittedCategorical, FittedChannel, FittedNumeric, FittedSpec
from pipelines.training import generated
from pipelines.training.generated import ODD_WORDS, generated_samples
from pipelines.training.job import Sample

PLAIN = {"fill": 0.0, "clip": None, "log1p": False, "offset": 0.0, "scale": 1.0}
SPEC = FittedSpec(
    features=(
        FittedNumeric(name="x", **PLAIN),
        FittedChannel(name="past_y", sequence="past", of="y", length=24, **PLAIN),
        FittedCategorical(name="w", vocabulary=("a", "b")),
    )
)
SAMPLES = [
    Sample(raw={"x": 10.0, "past_y": [100.0] * 23 + [None], "w": "a"}, features={}),
    Sample(raw={"x": 20.0, "past_y": [140.0, *[120.0] * 23], "w": None}, features={}),
]


def test_numbers_are_up_to_half_their_span_beyond_the_samples_own_or_zero_or_missing() -> None:
    samples = generated_samples(SPEC, SAMPLES)
    assert len(samples) == 256
    numbers: set[Any] = {sample.raw["x"] for sample in samples}
    steps: set[Any] = {step for sample in samples for step in sample.raw["past_y"]}  # type: ignore[union-attr]
    for values, low, high in ((numbers, 10.0, 20.0), (steps, 100.0, 140.0)):
        present = {value for value in values if value}
        beyond = (high - low) / 2
        assert low - beyond <= min(present) < low
        assert high < max(present) <= high + beyond
        assert {0.0, None, low, high} <= values
    assert {*ODD_WORDS, None, "a", "b"} <= {sample.raw["w"] for sample in samples}


def test_the_range_of_an_inputs_numbers_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # A sequence of 48 hours of 8 measures took 11 s, for some 37,000 numbers one after the other.
    calls: list[int] = []

    def greatest(values: list[float]) -> float:
        calls.append(len(values))
        return max(values)

    monkeypatch.setattr(generated, "max", greatest, raising=False)
    generated_samples(SPEC, SAMPLES)
    assert sorted(calls) == [2, 47]  # the numbers of x, and the steps of past_y
