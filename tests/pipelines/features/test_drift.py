"""Drift by hand, against SciPy's exact distance, and where nothing moved."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.stats import ks_2samp

from pipelines.config import DriftBounds, DriftConfig
from pipelines.features.drift import FeatureDrift, broken_bounds, exceeded, measure_drift, stability_index
from pipelines.features.fit import fitted_requests, stats_of
from pipelines.features.fitted import (
    FittedCategorical,
    FittedFeature,
    FittedHashed,
    FittedImage,
    FittedNumeric,
    FittedSpec,
    FittedTime,
)
from pipelines.features.kinds.hashed import GROUPS
from pipelines.features.kinds.statistics import Stats
from pipelines.features.kinds.summaries import PERCENTILES, levels_of, percentiles_of
from tests.pipelines.features.profiled import profiled

NUMBER = FittedNumeric(name="x", fill=0, clip=None, log1p=False, offset=0, scale=1)
WORD = FittedCategorical(name="x", vocabulary=("a", "b"))
HASH = FittedHashed(name="x", buckets=1000)
CLOCK = FittedTime(name="x", parts=("hour", "weekday"), zone="America/New_York", encode="ids")
IMAGE = FittedImage(name="x", height=1, width=1, channels=1, divide_by=1)
Value = float | str | datetime | None
Drawn = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]


def stats(spark: SparkSession, feature: FittedFeature, values: Sequence[Value]) -> Stats:
    """What is known of a column of values."""
    spec = FittedSpec(features=(feature,))
    kind = "timestamp" if feature is CLOCK else "double" if feature is NUMBER else "string"
    data: DataFrame = spark.createDataFrame([(value,) for value in values], f"x {kind}")
    return stats_of(spec, profiled(data, fitted_requests(spec), F.lit("all"))["all"])[0]


def test_the_index_by_hand() -> None:
    # (0.4 - 0.5) ln(0.4 / 0.5) + (0.6 - 0.5) ln(0.6 / 0.5)
    assert stability_index(np.array([0.5, 0.5]), np.array([0.4, 0.6])) == pytest.approx(0.0405465, abs=1e-7)
    assert stability_index(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.5, 1.0), (0.0, 2.0), (5.0, 1.0)])
def test_numbers_against_the_exact_figures(spark: SparkSession, shift: float, spread: float) -> None:
    random = np.random.default_rng(3)
    before, after = random.normal(size=5000), random.normal(shift, spread, 5000)
    moved = measure_drift("x", *(stats(spark, NUMBER, values.tolist()) for values in (before, after)))
    assert moved.ks == pytest.approx(ks_2samp(before, after).statistic, abs=0.01)
    edges = np.quantile(before, np.arange(0.1, 0.95, 0.1))
    shares = [np.histogram(values, [-math.inf, *edges, math.inf])[0] / 5000 for values in (before, after)]
    assert moved.psi == pytest.approx(stability_index(*shares), rel=0.05, abs=0.01)
    assert moved.missing == 0


def test_values_that_repeat_fall_in_the_same_bins(spark: SparkSession) -> None:
    same = stats(spark, NUMBER, [0.0, 1.0] * 300)
    assert measure_drift("x", same, stats(spark, NUMBER, [1.0, 0.0] * 900)) == FeatureDrift("x", 0, 0, 0)
    more = measure_drift("x", same, stats(spark, NUMBER, [0.0, 1.0, 1.0, 1.0] * 150))
    assert more.ks == pytest.approx(0.25, abs=0.01)


def test_missing_values_move_a_feature_too(spark: SparkSession) -> None:
    whole, half = stats(spark, NUMBER, [1.0, 2.0] * 100), stats(spark, NUMBER, [1.0, 2.0, None, None] * 50)
    moved = measure_drift("x", whole, half)
    assert moved.missing == 0.5
    assert moved.psi > 1
    assert moved.ks == pytest.approx(0, abs=0.01)
    none = measure_drift("x", whole, stats(spark, NUMBER, [None] * 10))
    assert (none.missing, none.ks) == (1, None)


def test_words_by_hand(spark: SparkSession) -> None:
    before = stats(spark, WORD, ["a"] * 50 + ["b"] * 30 + ["other"] * 20)
    after = stats(spark, WORD, ["a"] * 50 + ["b"] * 20 + ["new"] * 30)
    assert before.shares == (0.5, 0.3)
    moved = measure_drift("x", before, after)
    assert moved.psi == pytest.approx(0.1 * math.log(3 / 2) + 0.1 * math.log(3 / 2), rel=1e-9)
    assert (moved.ks, moved.missing) == (None, 0)


def test_words_that_are_hashed_are_held_by_groups_of_their_hashes(spark: SparkSession) -> None:
    before = stats(spark, HASH, ["a"] * 50 + ["b"] * 30 + [""] * 10 + [None] * 10)
    after = stats(spark, HASH, ["a"] * 50 + ["b"] * 20 + ["c"] * 10 + [""] * 10 + [None] * 10)
    groups = [crc32(word) % 1000 % GROUPS for word in (b"a", b"b", b"c")]
    assert len(set(groups)) == 3
    assert before.vocabulary is None
    assert before.shares is not None
    assert [before.shares[group] for group in groups] == [0.5, 0.3, 0]
    moved = measure_drift("x", before, after)
    assert moved.psi == pytest.approx(0.1 * math.log(3 / 2) + (0.1 - 1e-4) * math.log(0.1 / 1e-4), rel=1e-9)
    assert (moved.ks, moved.missing) == (None, 0)


def test_times_are_held_by_their_missing_share_alone(spark: SparkSession) -> None:
    monday, tuesday = datetime(2013, 12, 16, 13), datetime(2013, 12, 17, 1)
    before, after = stats(spark, CLOCK, [monday] * 100), stats(spark, CLOCK, [tuesday] * 100)
    assert measure_drift("x", before, after) == FeatureDrift("x", 0, None, 0)
    moved = measure_drift("x", before, stats(spark, CLOCK, [tuesday, None] * 50))
    assert moved.psi > 1
    assert moved.missing == 0.5


def test_images_are_held_by_how_long_they_are(spark: SparkSession) -> None:
    before, after = stats(spark, IMAGE, ["abcd", "abcdefgh"] * 100), stats(spark, IMAGE, ["abcdefghijkl"] * 100 + [None] * 100)
    moved = measure_drift("x", before, after)
    assert moved.psi > 1
    assert moved.ks == pytest.approx(1, abs=0.01)
    assert moved.missing == 0.5


def test_the_harder_bound_is_reported_and_measures_without_one_are_not() -> None:
    config = DriftConfig(psi=DriftBounds(warn=0.1, fail=0.3), ks=DriftBounds(fail=0.2), missing=DriftBounds(warn=None))
    assert list(exceeded(FeatureDrift("x", 0.2, 0.1, 0.9), config)) == [("warn", "x: psi 0.200 is above 0.1")]
    assert [severity for severity, _ in exceeded(FeatureDrift("x", 0.4, 0.5, 0), config)] == ["fail", "fail"]
    assert list(exceeded(FeatureDrift("x", 0.05, None, 0), config)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1.0] * 950 + [0.0] * 50, [1.0] * 500 + [0.0] * 500),
        ([0.0] * 998 + [5.0] * 2, [0.0] * 598 + [-1.0] * 400 + [5.0] * 2),
        ([0.0] * 998 + [5.0] * 2, [0.0] * 598 + [3.0] * 402),
        ([0.0, 1.0, 2.0, 3.0] * 250, [0.0] * 250 + [1.5] * 250 + [2.0, 3.0] * 250),
    ],
)
def test_a_value_that_fills_a_bin_is_seen_to_move(before: list[float], after: list[float]) -> None:
    def numbers(values: list[float]) -> Stats:
        return Stats(1000, 0, percentiles=tuple(np.quantile(values, PERCENTILES, method="inverted_cdf")))

    assert measure_drift("x", numbers(before), numbers(after)).psi > 0.25
    assert measure_drift("x", numbers(before), numbers(before[10:] + before[:10])).psi == 0
    random = np.random.default_rng(5)
    assert measure_drift("x", numbers(before), numbers(random.choice(before, 1000).tolist())).psi < 0.03


def test_the_psi_of_a_boolean_is_that_of_its_shares_by_hand() -> None:
    before, after = (Stats(1000, 0, percentiles=(0.0,) * zeros + (1.0,) * (199 - zeros)) for zeros in (10, 100))
    # Of 200 parts, 10 and 190 in train, then 100 and 100.
    expected = (0.5 - 0.05) * math.log(0.5 / 0.05) + (0.5 - 0.95) * math.log(0.5 / 0.95)
    assert measure_drift("x", before, after).psi == pytest.approx(expected, rel=1e-9)


def counted(values: npt.NDArray[np.float64], missing: int = 0) -> Stats:
    """What the pass over the rows knows of numbers, worked out without Spark."""
    percentiles = percentiles_of(values)
    assert percentiles is not None
    return Stats(len(values) + missing, missing, percentiles=tuple(percentiles.tolist())).with_levels(levels_of(values))


def exact_index(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> float:
    """PSI of exact counts: bins end with the deciles of train; a value that has a tenth of train's rows is a bin of its own."""
    edges = np.unique(np.quantile(before, np.arange(1, 10) / 10, method="inverted_cdf"))
    filled = {edge for edge in edges if np.count_nonzero(before == edge) * 10 >= len(before)}
    shares = []
    for values in (before, after):
        counts, last = [], -math.inf
        for edge in [*edges, math.inf]:
            inside = (values > last) & (values <= edge)
            parts = (inside & (values != edge), inside & (values == edge)) if edge in filled else (inside,)
            counts += [np.count_nonzero(part) for part in parts]
            last = edge
        shares.append(np.maximum(np.array(counts) / len(values), 1e-4))
    p, q = shares
    return float(np.sum((q - p) * np.log(q / p)))


def few(random: np.random.Generator, rows: int) -> npt.NDArray[np.float64]:
    """Seven whole numbers, some of them rare."""
    return random.choice(7, rows, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.007, 0.003]).astype(float)


def whole_numbers(random: np.random.Generator, rows: int) -> npt.NDArray[np.float64]:
    """Up to 1,500 whole numbers, most of them small."""
    return np.floor(random.lognormal(4, 1, rows)).clip(0, 1_500)


def tied(random: np.random.Generator, rows: int) -> npt.NDArray[np.float64]:
    """Nine zeros to each other number, of which no two are the same."""
    return np.where(random.random(rows) < 0.896, 0.0, random.exponential(1, rows))


@pytest.mark.parametrize("drawn", [few, whole_numbers, tied])
@pytest.mark.parametrize("moved", [1.0, 0.8])
def test_psi_is_that_of_exact_counts_where_values_are_few_whole_or_tied(drawn: Drawn, moved: float) -> None:
    random = np.random.default_rng(11)
    before, after = drawn(random, 20_000), drawn(random, 6_000)
    after = np.where(random.random(6_000) < moved, after, 1.0)
    drift = measure_drift("x", counted(before), counted(after))
    tolerance = 1e-12 if drawn is not tied else 5e-4  # between its counted levels it is a straight line
    assert drift.psi == pytest.approx(exact_index(before, after), abs=tolerance)
    assert drift.ks == pytest.approx(ks_2samp(before, after).statistic, abs=1e-12 if drawn is not tied else 0.005)
    assert (drift.psi < 0.005) == (moved == 1.0)


def test_counted_levels_come_from_the_pass_over_the_rows(spark: SparkSession) -> None:
    values = np.repeat([0.0, 2.0, 5.0], [50, 1, 9])
    column_stats = stats(spark, NUMBER, [*values.tolist(), None])
    assert column_stats == counted(values, missing=1)
    assert [list(each or ()) for each in (column_stats.levels, column_stats.rows_below, column_stats.rows_at_most)] == [
        [0, 2, 5], [0, 50, 51], [50, 51, 60],
    ]  # fmt: skip


def test_statistics_of_former_versions_are_compared_by_percentiles() -> None:
    values = np.repeat([0.0, 1.0], [400, 600])
    former = counted(values)._replace(levels=None, rows_below=None, rows_at_most=None)
    assert measure_drift("x", former, counted(values)) == FeatureDrift("x", 0, 0, 0)


ALL = DriftConfig(psi=DriftBounds(warn=0.25), ks=DriftBounds(warn=0.1), missing=DriftBounds(fail=0.1))


def broken(before: Stats, after: Stats) -> list[str]:
    """The measures whose bounds are broken by more than chance."""
    return [each.text.split()[1] for each in broken_bounds([measure_drift("x", before, after)], [before], [after], ALL)]


@pytest.mark.parametrize("rows", [1, 5, 9, 20, 60, 150])
def test_rows_of_the_same_distribution_break_no_bound_however_few_they_are(rows: int) -> None:
    random = np.random.default_rng(2)
    kinds = (few, whole_numbers, tied, lambda random, rows: random.normal(size=rows))
    exceeding, reported = 0, []
    for drawn in kinds:
        before = counted(drawn(random, 5_000), missing=200)
        for _ in range(10):
            after = counted(drawn(random, rows), missing=int(random.binomial(rows, 0.04)))
            exceeding += any(exceeded(measure_drift("x", before, after), ALL))
            reported += broken(before, after)
    assert reported == []
    assert exceeding > 0 or rows > 20


def test_no_bound_is_broken_by_a_handful_of_rows_whatever_they_are() -> None:
    before = counted(np.arange(1000.0))
    for rows in range(1, 10):
        assert broken(before, counted(np.full(rows, 1e6), missing=0)) == []
        assert broken(before, Stats(rows, rows)) == []
    assert broken(counted(np.arange(5.0)), counted(np.full(1000, 1e6))) == []


def test_what_moved_beyond_chance_breaks_its_bounds_with_few_rows_too() -> None:
    before = counted(np.arange(1000.0))
    assert broken(before, counted(np.full(30, 1e6))) == ["psi", "ks"]
    assert broken(before, Stats(30, 30)) == ["psi", "missing"]
    ones = counted(np.ones(100_000))  # a value that train has never had
    assert broken(ones, counted(np.repeat([0.0, 1.0], 20))) == ["psi", "ks"]
    words = Stats(10_000, 0, shares=(0.5, 0.3))
    assert broken(words, Stats(40, 0, shares=(0.55, 0.275))) == []
    assert broken(words, Stats(40, 0, shares=(0.05, 0.3))) == ["psi"]


def test_a_sample_counts_as_its_own_rows_and_not_as_all() -> None:
    before, after = counted(np.arange(1000.0)), counted(np.full(8, 1e6))
    whole_split = after._replace(rows=8_000)  # of which every thousandth was sampled
    assert broken(before, whole_split) == []
    assert broken(before, whole_split._replace(rows_below=(0.0,), rows_at_most=(8_000.0,))) == ["psi", "ks"]
