"""Moments, percentiles and frequent words, whole and in parts, against exact figures."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.summaries import (
    HELD_VALUES,
    NUMBER,
    PERCENTILES,
    THERE,
    WORD,
    Moments,
    Words,
    merge,
    merged_moments,
    moments_of,
    percentiles_of,
    summarize,
)


def batch(part: int, groups: list[str], **columns: list[object]) -> pa.RecordBatch:
    """Rows of a task, all of them sampled."""
    beside = {"group": groups, "part": [part] * len(groups), "sampled": [True] * len(groups)}
    return pa.RecordBatch.from_pydict({**beside, **columns})


@given(st.lists(st.lists(st.integers(-(2**40), 2**40).map(float), max_size=20), max_size=6))
def test_moments_in_parts_are_those_of_exact_fractions(parts: list[list[float]]) -> None:
    found = Moments()
    for part in parts:
        found = merged_moments(found, moments_of(np.array(part, float)))
    whole = [Fraction(value) for part in parts for value in part]
    assert found.present == len(whole)
    if whole:
        mean = sum(whole) / len(whole)
        squares = sum((value - mean) ** 2 for value in whole)
        size = max(map(abs, whole)) or 1
        assert abs(found.mean - mean) <= 1e-15 * size * 4
        assert found.squares == pytest.approx(float(squares), rel=1e-12, abs=1e-24 * float(size) ** 2)
        assert (found.minimum, found.maximum) == (float(min(whole)), float(max(whole)))


@given(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=700))
def test_a_percentile_is_the_least_value_that_so_many_are_at_or_below(values: list[float]) -> None:
    found = percentiles_of(np.array(values))
    assert found is not None
    at_or_below = [sum(value <= each for value in values) for each in found]
    below = [sum(value < each for value in values) for each in found]
    for step, share in enumerate(PERCENTILES, start=1):
        assert at_or_below[step - 1] * 200 >= step * len(values), share
        assert below[step - 1] * 200 < step * len(values), share


def test_no_value_has_no_percentiles() -> None:
    assert percentiles_of(np.empty(0)) is None


def test_words_are_exact_up_to_the_tracked_ones() -> None:
    words = Words(tracked=100)
    drawn = np.random.default_rng(5).integers(0, 100, (50, 40))
    for part in drawn:
        words.add(pa.array([f"w{number}" for number in part]), pa.array(np.ones(40, int)))
    exact = Counter(f"w{number}" for number in drawn.flat)
    found = words.table().to_pydict()
    assert list(zip(found["word"], found["count"], strict=True)) == sorted(exact.items(), key=lambda pair: (-pair[1], pair[0]))


def test_of_more_words_the_frequent_stay_and_err_within_the_bound() -> None:
    tracked, rows = 200, 60_000
    words = Words(tracked=tracked)
    drawn = np.minimum(np.random.default_rng(6).zipf(1.4, rows), 100_000)
    for part in np.split(drawn, 300):
        words.add(pa.array([f"w{number}" for number in part]), pa.array(np.ones(len(part), int)))
    exact = Counter(f"w{number}" for number in drawn)
    table = words.table().to_pydict()
    found = dict(zip(table["word"], table["count"], strict=True))
    assert len(exact) > 10 * tracked
    assert len(found) <= tracked
    for word, count in exact.items():
        assert 0 <= count - found.get(word, 0) <= rows / tracked
    assert list(found)[:3] == [word for word, _ in exact.most_common(3)]


def test_what_tasks_found_is_merged_by_group_and_column() -> None:
    first = batch(0, ["a", "b", "a"], x=[1.0, 10.0, None], w=["u", "u", "v"], t=[True, None, True])
    second = batch(1, ["a", "a"], x=[3.0, 5.0], w=["v", None], t=[None, None])
    kinds = (NUMBER, WORD, THERE)
    rows = [row for each in (first, second) for part in summarize(iter([each]), kinds) for row in part.to_pylist()]
    assert {row["part"] for row in rows} == {0, 1}
    rows.sort(key=lambda row: (row["group"], row["key"], row["part"], row["at"]))
    schema = next(summarize(iter([first]), kinds)).schema
    found = [row for part in merge([pa.RecordBatch.from_pylist(rows, schema)]) for row in part.to_pylist()]
    by_place = {(row["group"], row["key"]): row for row in found}
    assert len(by_place) == 6
    number = by_place["a", 0]
    assert (number["present"], number["mean"], number["squares"], number["minimum"], number["maximum"]) == (3, 3, 8, 1, 5)
    assert [number["percentiles"][at] for at in (0, 99, 198)] == [1, 3, 5]
    assert (by_place["a", 1]["words"], by_place["a", 1]["counts"]) == (["v", "u"], [2, 1])
    assert by_place["a", 1]["present"] == 3
    assert (by_place["a", 2]["present"], by_place["b", 2]["present"]) == (2, 0)
    assert by_place["b", 0]["percentiles"] == [10.0] * len(PERCENTILES)


def test_a_task_passes_on_what_it_has_sampled() -> None:
    size = HELD_VALUES // 4 + 1
    batches = [batch(3, ["a"] * size, x=list(np.arange(size) + size * at)) for at in range(9)]
    parts = list(summarize(iter(batches), (NUMBER,)))
    assert [part.num_rows for part in parts] == [1, 1, 1, 1]  # two of them full, the rest, and the moments
    assert max(len(values) for part in parts for values in part.column("values").to_pylist() if values) <= HELD_VALUES + size
    found = [row for part in merge(parts) for row in part.to_pylist()]
    assert len(found) == 1
    assert found[0]["present"] == 9 * size
    assert found[0]["percentiles"][99] == pytest.approx(4.5 * size, rel=1e-5)


def test_a_text_that_is_no_utf_8_is_counted_as_it_is() -> None:
    broken = pa.array([b"\xff", b"\xff", b"ok"]).view(pa.string())
    rows = batch(0, ["a"] * 3)
    rows = pa.RecordBatch.from_arrays([*rows.columns, broken], [*rows.schema.names, "w"])
    found = next(iter(merge(list(summarize(iter([rows]), (WORD,))))))
    assert found.column("words")[0].values.cast(pa.binary()).to_pylist() == [b"\xff", b"ok"]
    assert found.column("counts").to_pylist() == [[2, 1]]
