"""Moments, percentiles and frequent words, whole and in parts, against exact figures."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.features.kinds.summaries import (
    PERCENTILES,
    Levels,
    Moments,
    WordCounts,
    levels_of,
    merged_moments,
    moments_of,
    percentiles_of,
)


@given(st.lists(st.lists(st.integers(-(2**40), 2**40).map(float), max_size=20), max_size=6))
def test_moments_in_parts_are_those_of_exact_fractions(parts: list[list[float]]) -> None:
    moments = Moments()
    for part in parts:
        moments = merged_moments(moments, moments_of(np.array(part, float)))
    whole = [Fraction(value) for part in parts for value in part]
    assert moments.present == len(whole)
    if whole:
        mean = sum(whole) / len(whole)
        squares = sum((value - mean) ** 2 for value in whole)
        size = max(map(abs, whole)) or 1
        assert abs(moments.mean - mean) <= 1e-15 * size * 4
        assert moments.squares == pytest.approx(float(squares), rel=1e-12, abs=1e-24 * float(size) ** 2)
        assert (moments.minimum, moments.maximum) == (float(min(whole)), float(max(whole)))


@given(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=700))
def test_a_percentile_is_the_least_value_that_so_many_are_at_or_below(values: list[float]) -> None:
    percentiles = percentiles_of(np.array(values))
    assert percentiles is not None
    at_or_below = [sum(value <= each for value in values) for each in percentiles]
    below = [sum(value < each for value in values) for each in percentiles]
    for step, share in enumerate(PERCENTILES, start=1):
        assert at_or_below[step - 1] * 200 >= step * len(values), share
        assert below[step - 1] * 200 < step * len(values), share


def test_no_value_has_no_percentiles() -> None:
    assert percentiles_of(np.empty(0)) is None


def test_words_are_exact_up_to_the_tracked_ones() -> None:
    words = WordCounts(tracked=100)
    drawn = np.random.default_rng(5).integers(0, 100, (50, 40))
    for part in drawn:
        words.add(pa.array([f"w{number}" for number in part]), pa.array(np.ones(40, int)))
    exact = Counter(f"w{number}" for number in drawn.flat)
    table = words.table().to_pydict()
    assert list(zip(table["word"], table["count"], strict=True)) == sorted(exact.items(), key=lambda pair: (-pair[1], pair[0]))


def test_of_more_words_the_frequent_stay_and_err_within_the_bound() -> None:
    tracked, rows = 200, 60_000
    words = WordCounts(tracked=tracked)
    drawn = np.minimum(np.random.default_rng(6).zipf(1.4, rows), 100_000)
    for part in np.split(drawn, 300):
        words.add(pa.array([f"w{number}" for number in part]), pa.array(np.ones(len(part), int)))
    exact = Counter(f"w{number}" for number in drawn)
    table = words.table().to_pydict()
    counts = dict(zip(table["word"], table["count"], strict=True))
    assert len(exact) > 10 * tracked
    assert len(counts) <= tracked
    for word, count in exact.items():
        assert 0 <= count - counts.get(word, 0) <= rows / tracked
    assert list(counts)[:3] == [word for word, _ in exact.most_common(3)]


@given(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=300))
def test_each_of_few_distinct_numbers_is_counted(values: list[float]) -> None:
    levels = levels_of(np.array(values))
    assert levels is not None
    assert levels.values.tolist() == sorted(set(values))
    assert levels.at_most.tolist() == [sum(value <= level for value in values) for level in levels.values]
    assert levels.below.tolist() == [sum(value < level for value in values) for level in levels.values]
    assert [each.tolist() for each in Levels.from_bytes(levels.to_bytes())] == [each.tolist() for each in levels]


def test_of_many_distinct_numbers_some_are_counted_and_ties_among_them() -> None:
    values = np.concatenate([np.arange(10_000.0), np.full(60, 777.5)])  # 0.6 percent of them
    levels = levels_of(values)
    assert levels is not None
    assert len(levels.values) <= 402
    assert {0.0, 777.5, 9_999.0} <= set(levels.values)
    for level, below, at_most in zip(*levels, strict=True):
        assert (below, at_most) == ((values < level).sum(), (values <= level).sum())
    percentiles = percentiles_of(values)
    assert percentiles is not None
    assert set(percentiles) <= set(levels.values)
    assert levels_of(np.empty(0)) is None
