"""Specs that make the same features, whatever the order in which sums were added."""

from __future__ import annotations

import math

import pytest

from pipelines.features.fitted import FittedCategorical, FittedNumeric, FittedSpec


def spec(offset: float = 1 / 3, fill: float = 0.0, words: tuple[str, ...] = ("a", "b")) -> FittedSpec:
    """A number and a word."""
    number = FittedNumeric(name="x", fill=fill, clip=(-1.0, 1.0), log1p=False, offset=offset, scale=2.0)
    return FittedSpec(features=(number, FittedCategorical(name="w", vocabulary=words)))


def test_sums_that_were_added_in_another_order_make_the_same_features() -> None:
    other = spec(offset=math.nextafter(1 / 3, 1))
    assert other.fingerprint != spec().fingerprint
    assert other.agrees_with(spec())


@pytest.mark.parametrize("other", [spec(offset=0.33), spec(words=("b", "a")), spec(words=("a",)), spec(fill=math.nan)])
def test_other_numbers_or_words_do_not(other: FittedSpec) -> None:
    assert not other.agrees_with(spec())
    assert other.agrees_with(other)
