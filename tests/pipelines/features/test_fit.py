"""Statistics by hand and by scikit-learn, from the train split alone."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from pipelines.config import FeaturesConfig
from pipelines.errors import DataError
from pipelines.features.fit import FitResult, fit, requests
from pipelines.features.fitted import FittedBucketized, FittedCategorical, FittedCrossed, FittedNumeric, FittedOrdinal, Raw
from pipelines.features.kinds.statistics import Profiles
from pipelines.features.profiles import sampling_step
from pipelines.features.target_means import sum_labels
from tests.pipelines.features.profiled import profiled

SPLIT = {"validation_from": "2013-10-01", "test_from": "2013-11-01"}
Value = float | str | bool | None


def spec(**kinds: Any) -> FeaturesConfig:
    """A features section with the given kinds."""
    return FeaturesConfig.model_validate({"rows_of": "t", "derive": "m:f", "split": SPLIT, **kinds})


def frame(spark: SparkSession, train: list[Value], test: list[Value] | None = None, kind: str = "double") -> DataFrame:
    """A column x, in two splits."""
    rows = [("train", value) for value in train] + [("test", value) for value in test or []]
    return spark.createDataFrame(rows, f"split string, x {kind}")


def fitted(config: FeaturesConfig, data: DataFrame) -> FitResult:
    """Fit on the train rows."""
    return fit(config, profiles_of(data, config)["train"], sum_labels(data, config))


def profiles_of(data: DataFrame, config: FeaturesConfig, values: int = 1) -> dict[str, Profiles]:
    """The profiles of each split."""
    return profiled(data, requests(config), "split", values=values)


def numeric(config: FeaturesConfig, data: DataFrame) -> FittedNumeric:
    """The one fitted numeric feature."""
    feature = fitted(config, data).spec.features[0]
    assert isinstance(feature, FittedNumeric)
    return feature


def test_the_worked_example_of_scaling(spark: SparkSession) -> None:
    data = frame(spark, [20.0, 35.0, 50.0, 65.0, 80.0])
    zscore = numeric(spec(numeric={"x": {"scale": "zscore"}}), data)
    assert zscore.offset == 50
    assert zscore.scale == pytest.approx(21.213, abs=1e-3)  # the population's deviation: the root of 450
    assert (65 - zscore.offset) / zscore.scale == pytest.approx(0.7071, abs=1e-4)
    minmax = numeric(spec(numeric={"x": {"scale": "minmax"}}), data)
    assert (65 - minmax.offset) / minmax.scale == 0.75


def test_the_robust_scaler_takes_median_and_quartiles(spark: SparkSession) -> None:
    robust = numeric(spec(numeric={"x": {"scale": "robust"}}), frame(spark, [20.0, 35.0, 50.0, 65.0, 80.0]))
    assert (robust.offset, robust.scale) == (50, 30)


@pytest.mark.parametrize("impute", ["mean", "median", 7.0])
def test_moments_with_imputed_values_are_scikit_learns(spark: SparkSession, impute: str | float) -> None:
    values: list[Value] = [float(v) if v % 3 else None for v in range(1, 41)]  # an odd number present: one median
    strategy = {"strategy": impute} if isinstance(impute, str) else {"strategy": "constant", "fill_value": impute}
    filled = SimpleImputer(**strategy).fit_transform(np.array(values, float).reshape(-1, 1))
    zscore = numeric(spec(numeric={"x": {"impute": impute, "scale": "zscore"}}), frame(spark, values))
    expected = StandardScaler().fit(filled)
    assert zscore.offset == pytest.approx(expected.mean_[0], rel=1e-12)
    assert zscore.scale == pytest.approx(expected.scale_[0], rel=1e-12)
    minmax = numeric(spec(numeric={"x": {"impute": impute, "scale": "minmax"}}), frame(spark, values))
    bounds = MinMaxScaler().fit(filled)
    assert (minmax.offset, minmax.scale) == (bounds.data_min_[0], bounds.data_range_[0])


def test_log_and_clip_come_before_the_statistics(spark: SparkSession) -> None:
    config = spec(numeric={"x": {"clip": [0, 10], "log1p": True, "scale": "zscore", "impute": 3.0}})
    feature = numeric(config, frame(spark, [-5.0, 0.0, 3.0, 1000.0]))
    logarithms = np.log1p([0, 0, 3, 10])
    assert feature.offset == pytest.approx(logarithms.mean(), rel=1e-12)
    assert feature.scale == pytest.approx(logarithms.std(), rel=1e-12)


def test_the_median_that_stands_in_is_in_the_features_own_unit(spark: SparkSession) -> None:
    feature = numeric(spec(numeric={"x": {"log1p": True}}), frame(spark, [1.0, 9.0, None, 100.0]))
    assert feature.fill == 9


def test_far_from_zero_the_deviation_is_still_right(spark: SparkSession) -> None:
    feature = numeric(spec(numeric={"x": {}}), frame(spark, [1e9, 1e9 + 1, 1e9 + 2]))
    assert feature.scale == pytest.approx(np.sqrt(2 / 3), rel=1e-9)


def test_no_row_outside_the_train_split_changes_anything(spark: SparkSession) -> None:
    config = spec(numeric={"x": {"scale": "robust"}})
    train: list[Value] = [1.0, 2.0, None, 4.0, 8.0]
    assert fitted(config, frame(spark, train, [3.0, 5.0, 7.0])) == fitted(config, frame(spark, train, [1e9, None, -1e9]))
    words = spec(categorical={"x": {}})
    before = fitted(words, frame(spark, ["a", "b"], ["a", "a", "a"], kind="string"))
    assert before == fitted(words, frame(spark, ["a", "b"], ["c", "b", "b"], kind="string"))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_whatever_the_other_splits_hold_no_kind_of_feature_is_fitted_on_it(spark: SparkSession, split: str) -> None:
    config = spec(
        numeric={
            "mean": {"impute": "mean", "scale": "minmax"},
            "median": {"impute": "median", "scale": "robust", "log1p": True},
        },
        boolean={"flag": {"indicator": True}},
        cyclic={"turn": {"period": 7}},
        bucketized={"cut": {"edges": [2]}},
        ordinal={"size": {"order": ["s", "m", "l"]}},
        categorical={"word": {}},
        hashed={"code": {"buckets": 5}},
        crossed={"both": {"of": ["word", "size"]}},
        target={"place": {"folds": 2}},
        text={"said": {"length": 2}},
    )
    types = "mean double, median double, flag boolean, turn double, cut double, size string, word string, code string"
    schema = f"row_id bigint, split string, label double, {types}, place string, said string"
    train = [
        (at, "train", float(at % 2), at * 1.5, float(at) if at % 3 else None, at % 2 == 0, float(at % 7), float(at % 4),
         "sml"[at % 3], "ab"[at % 2], "xyz"[at % 3], "pq"[at % 2], f"good bad {at % 2}")
        for at in range(12)
    ]  # fmt: skip
    others: list[tuple[Any, ...]] = [
        (50, split, 1.0, 3.0, 4.0, True, 1.0, 1.0, "s", "a", "x", "p", "good"),
        (51, split, 0.0, 1e9, 1e12, False, 6.5, -1e9, "l", "new", "unseen", "elsewhere", "other words other words"),
    ]

    def fit_on(more: list[tuple[Any, ...]]) -> FitResult:
        data = spark.createDataFrame([*train, *more], schema)
        rows = data.where("split = 'train'")
        return fit(config, profiles_of(data, config)["train"], sum_labels(rows, config))

    none, one, other = (fit_on(more) for more in ([], others[:1], others[1:] * 3))
    assert none == one == other


def test_a_vocabulary_is_by_frequency_then_name(spark: SparkSession) -> None:
    data = frame(spark, ["b", "c", "a", "b", None, "rare", "c", "a"], kind="string")
    feature = fitted(spec(categorical={"x": {"min_count": 2}}), data).spec.features[0]
    assert isinstance(feature, FittedCategorical)
    assert feature.vocabulary == ("a", "b", "c")
    assert feature.ids == {"x": 4}


def test_what_a_model_cannot_distinguish_is_no_word(spark: SparkSession) -> None:
    data = frame(spark, ["a", "", "a\0", "\ufffe", "[UNK]", None], kind="string")
    feature = fitted(spec(categorical={"x": {}}), data).spec.features[0]
    assert isinstance(feature, FittedCategorical)
    assert feature.vocabulary == ("[UNK]", "a")


def test_missing_values_are_counted(spark: SparkSession) -> None:
    stats = fitted(spec(numeric={"x": {"impute": 5.0}}), frame(spark, [1.0, None, 3.0, None])).stats[0]
    assert (stats.rows, stats.missing, stats.mean) == (4, 2, 3.5)


@pytest.mark.parametrize("scale", ["zscore", "minmax", "robust"])
def test_a_feature_that_does_not_vary_is_exit_3(spark: SparkSession, scale: str) -> None:
    constants = {"x": 0.0, "y": 7.25, "z": 1e9}
    rows = [("train", *constants.values())] * 2 + [("train", None, None, None), ("test", *[1.0] * 3), ("test", *[2.0] * 3)]
    data = spark.createDataFrame(rows, "split string, x double, y double, z double")
    profiles = profiles_of(data, spec(numeric={name: {"scale": scale} for name in constants}))["train"]
    for name in constants:
        with pytest.raises(DataError, match=rf"features\.numeric\.{name}: no variance in the train split") as caught:
            fit(spec(numeric={name: {"scale": scale}}), profiles)
        assert caught.value.exit_code == 3


def test_a_feature_without_a_value_is_refused(spark: SparkSession) -> None:
    with pytest.raises(DataError, match=r"features\.x: no value at all in the train split of 2 rows"):
        fitted(spec(numeric={"x": {}}), frame(spark, [None, None], [1.0]))


def test_buckets_are_those_declared_and_missing_values_are_counted(spark: SparkSession) -> None:
    config = spec(bucketized={"x": {"edges": [0, 10]}})
    result = fitted(config, frame(spark, [1.0, None, float("nan"), 12.0], [None, 5.0]))
    assert result.spec.features == (FittedBucketized(name="x", edges=(0, 10)),)
    assert result.spec.sizes == {"x": 4}
    assert (result.stats[0].rows, result.stats[0].missing) == (4, 2)
    with pytest.raises(DataError, match=r"features\.x: no value at all"):
        fitted(config, frame(spark, [None, float("nan")]))


def test_moments_are_those_of_exact_fractions(spark: SparkSession) -> None:
    tiny = [1e9 + step * 2.0**-9 for step in (0, 1, 5, 11, 12, 40)] * 50  # exact in float64, 0.002 apart
    feature = numeric(spec(numeric={"x": {}}), frame(spark, [*tiny, *[None] * 7]).repartition(5))
    exact = [Fraction(value) for value in tiny] + [Fraction(feature.fill)] * 7
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    assert feature.offset == pytest.approx(float(mean), rel=1e-15)
    assert feature.scale == pytest.approx(math.sqrt(variance), rel=1e-6)  # an ulp of the mean is 1e-7
    small = [step * 1e-9 for step in (1, 2, 4, 8)]
    feature = numeric(spec(numeric={"x": {}}), frame(spark, [*small]))
    mean = sum(map(Fraction, small)) / 4
    variance = sum((Fraction(value) - mean) ** 2 for value in small) / 4
    assert (feature.offset, feature.scale) == pytest.approx((float(mean), math.sqrt(variance)), rel=1e-14)


def test_an_empty_train_split_is_refused(spark: SparkSession) -> None:
    config = spec(numeric={"x": {}})
    assert "train" not in profiles_of(frame(spark, [], [1.0]), config)
    with pytest.raises(DataError, match="the train split is empty"):
        fit(config, Profiles())


def test_a_boolean_is_one_or_nought(spark: SparkSession) -> None:
    data = frame(spark, [True, False, None, True], kind="boolean")
    feature = numeric(spec(boolean={"x": {"impute": True, "indicator": True}}), data)
    assert (feature.fill, feature.offset, feature.scale) == (1, 0, 1)
    assert feature.numbers == ("x", "x_missing")


def test_an_ordinal_word_that_is_missing_is_the_median(spark: SparkSession) -> None:
    order = ["none", "some", "much", "most"]
    data = frame(spark, ["none", "some", "some", "much", "", None], ["most", "strange"] * 9, kind="string")
    result = fitted(spec(ordinal={"x": {"order": order}}), data)
    assert result.spec.features == (FittedOrdinal(name="x", vocabulary=tuple(order), fill=1 / 3),)
    assert result.stats[0].shares == pytest.approx((1 / 6, 2 / 6, 1 / 6, 0))
    with pytest.raises(DataError, match=r"features\.ordinal\.x: no word .* is in its order \(a, b\); found .*much, none"):
        fitted(spec(ordinal={"x": {"order": ["a", "b"]}}), data)


def test_an_ordinal_word_of_train_that_the_order_lacks_is_exit_3(spark: SparkSession) -> None:
    data = frame(spark, ["low", "hihg", "high", "high", "odd"], ["low"], kind="string")
    with pytest.raises(DataError, match=r"features\.ordinal\.x: the train split has 'hihg', 'odd', which its order lacks"):
        fitted(spec(ordinal={"x": {"order": ["low", "high"]}}), data)


def test_words_are_crossed_and_missing_where_one_is(spark: SparkSession) -> None:
    rows = [("a", "u"), ("a", "u"), ("a", "v"), (None, "v"), ("", "v"), ("b", "v\x1fw")]
    data = spark.createDataFrame([("train", *row) for row in rows], "split string, p string, q string")
    result = fitted(spec(crossed={"x": {"of": ["p", "q"]}}), data)
    assert result.spec.features == (FittedCrossed(name="x", of=("p", "q"), vocabulary=("a\x1fu", "a\x1fv")),)
    assert (result.stats[0].missing, result.spec.sizes) == (3, {"x": 3})
    assert result.spec.inputs == {"p": Raw("string"), "q": Raw("string")}


def test_percentiles_of_a_sample_are_close_and_moments_are_of_all_rows(spark: SparkSession) -> None:
    data = spark.range(20_000).selectExpr("'train' AS split", "xxhash64(id) AS row_id", "double(id * id) AS x")
    config = spec(numeric={"x": {"scale": "zscore"}, **{f"x{at}": {} for at in range(9)}})
    data = data.withColumns({f"x{at}": F.col("x") * at + F.col("row_id") for at in range(9)})
    whole = fitted(config, data)
    of_some = fit(config, profiles_of(data, config, values=sampling_step(20_000, sample_rows=5_000))["train"])
    assert of_some.stats[0][:6] == whole.stats[0][:6]
    assert of_some.stats[0].percentiles != whole.stats[0].percentiles
    assert of_some.stats[0].quartiles == pytest.approx(whole.stats[0].quartiles, rel=0.05)
    assert (
        sampling_step(20_000, sample_rows=5_000),
        sampling_step(9_999, sample_rows=5_000),
        sampling_step(10, sample_rows=5_000),
    ) == (4, 1, 1)


def test_a_value_too_rare_for_percentiles_is_refused(spark: SparkSession) -> None:
    config = spec(numeric={"x": {}})
    with pytest.raises(DataError, match=r"features\.x: 2 values in the train split of 3 rows, too few for percentiles"):
        fit(config, profiles_of(frame(spark, [1.0, 2.0, None]).withColumn("row_id", F.lit(1)), config, values=10)["train"])


@pytest.mark.parametrize("impute", ["mean", "median"])
def test_numbers_that_are_not_finite_are_missing_to_the_statistics(spark: SparkSession, impute: str) -> None:
    values = [1.0, 2.0, 3.0, 6.0]
    odd = [float("nan"), float("inf"), float("-inf")]
    for settings in ({"impute": impute}, {"impute": impute, "log1p": True}):
        config = spec(numeric={"x": settings})
        result, expected = (fitted(config, frame(spark, [*values, *more])) for more in (odd, [None] * 3))
        assert result == expected
        assert math.isfinite(result.spec.features[0].model_dump()["scale"])
    config = spec(cyclic={"x": {"period": 7}})
    assert fitted(config, frame(spark, [*values, *odd])) == fitted(config, frame(spark, [*values, *[None] * 3]))
    clipped = numeric(spec(numeric={"x": {"clip": [0, 10], "scale": "minmax"}}), frame(spark, [1.0, *odd]))
    assert (clipped.offset, clipped.scale) == (0, 10)  # an infinite one is the bound, as it is where features are applied


@pytest.mark.parametrize("scale", ["zscore", "minmax"])
def test_values_too_large_to_be_scaled_are_exit_3(spark: SparkSession, scale: str) -> None:
    with pytest.raises(DataError, match=rf"numeric\.x: its values, from -1e\+308 to 1e\+308, are too large .* {scale}"):
        fitted(spec(numeric={"x": {"scale": scale}}), frame(spark, [-1e308, 0.0, 1e308]))


def test_log1p_of_what_stands_in_for_a_missing_value_has_to_be_there(spark: SparkSession) -> None:
    data = frame(spark, [1.0, 9.0, None])
    with pytest.raises(DataError, match=r"numeric\.x: log1p of -1, which stands in .* \(impute: -1\.0\); expected more"):
        fitted(spec(numeric={"x": {"log1p": True, "impute": -1}}), data)
    assert numeric(spec(numeric={"x": {"log1p": True, "impute": -1, "clip": [0, 10]}}), data).fill == -1


@pytest.mark.parametrize(
    ("scale", "values"),
    [
        ("none", [5e15, 5e15 + 1]),
        ("none", [7.0, 7.0]),
        ("zscore", [1e6, *[0.0, 1e-9] * 3]),
        ("robust", [1e15, *[0.0, 1.0, 2.0] * 5]),
        ("minmax", [1e9, 1e9 + 1e-4]),
    ],
)
def test_only_what_does_not_vary_is_refused(spark: SparkSession, scale: str, values: list[Value]) -> None:
    assert numeric(spec(numeric={"x": {"scale": scale}}), frame(spark, values)).scale > 0


def test_a_text_without_a_vocabulary_is_refused(spark: SparkSession) -> None:
    data = frame(spark, ["so rare", "as can be"], kind="string")
    config = spec(text={"x": {"length": 3, "min_count": 2}})
    with pytest.raises(DataError, match=r"features\.text\.x: no word is in .* 2 rows 2 times or more; .*min_count \(2\)"):
        fitted(config, data)
    assert fitted(spec(text={"x": {"length": 3, "buckets": 10}}), data).spec.features[0].name == "x"
