"""Mean labels by word, by hand. No row's feature has its own label in it."""

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig
from pipelines.features.fit import fit, requests
from pipelines.features.fitted import FittedSpec, FittedTarget
from pipelines.features.target_means import fold_of, sum_labels
from pipelines.features.transform import transform
from tests.pipelines.features.profiled import profiled

ROWS = [("a", 1.0), ("a", 1.0), ("a", 0.0), ("b", 0.0), ("b", 0.0), (None, 1.0), ("", 0.0), ("c", 1.0)]


def spec(**settings: float) -> FeaturesConfig:
    """One word as its mean label."""
    split = {"by": "column", "column": "split"}
    return FeaturesConfig.model_validate({"rows_of": "t", "derive": "m:f", "split": split, "target": {"w": settings}})


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """ROWS five times, all of the train split."""
    data = [(number, word, label) for number, (word, label) in enumerate(ROWS * 5)]
    return spark.createDataFrame(data, "id long, w string, label double").selectExpr(
        "xxhash64(id) row_id", "'train' split", "*"
    )


def fitted(config: FeaturesConfig, rows: DataFrame) -> FittedTarget:
    """Fit on all rows."""
    profiles = profiled(rows, requests(config), "split")["train"]
    feature = fit(config, profiles, labels=sum_labels(rows, config)).spec.features[0]
    assert isinstance(feature, FittedTarget)
    return feature


def test_means_are_drawn_to_that_of_all(rows: DataFrame) -> None:
    feature = fitted(spec(smoothing=10), rows)
    assert (feature.vocabulary, feature.prior, feature.deviation) == (("a", "b", "c"), 0.5, 0.5)
    # (10 + 10 / 2) / (15 + 10), (0 + 5) / (10 + 10), (5 + 5) / (5 + 10)
    assert feature.means == pytest.approx((0.6, 0.25, 2 / 3))


def test_only_the_most_frequent_words_are_kept(rows: DataFrame) -> None:
    assert fitted(spec(max_size=1), rows).vocabulary == ("a",)


def test_train_rows_get_the_means_of_the_other_folds(rows: DataFrame) -> None:
    folds = 4
    feature = fitted(spec(folds=folds, smoothing=2), rows)
    transformed = transform(rows, FittedSpec(features=(feature,)), ("id", "label"), out_of_fold=True).rows.collect()
    data = rows.withColumn("fold", fold_of(F.col("row_id"), folds)).toPandas().set_index("id")
    for row in transformed:
        own = data.loc[row.id]
        outside = data[data["fold"] != own["fold"]]
        prior = outside["label"].mean()
        same = outside[outside["w"] == own["w"]]["label"] if own["w"] else outside["label"][:0]
        expected = (same.sum() + 2 * prior) / (len(same) + 2) if own["w"] else prior
        assert row.w == pytest.approx((expected - 0.5) / 0.5, abs=1e-6)  # half of the labels are 1: the deviation is 0.5
    served = transform(rows.withColumn("split", F.lit("test")), FittedSpec(features=(feature,)), ("id",), out_of_fold=True).rows
    means = dict(zip(feature.vocabulary, feature.means, strict=True))
    words = data["w"].to_dict()
    for row in served.collect():
        assert row.w == pytest.approx((means.get(words[row.id], 0.5) - 0.5) / 0.5, abs=1e-6)


def test_a_word_that_says_nothing_says_nothing(spark: SparkSession) -> None:
    """Labels by chance and a word a row: with its own label in it, the feature would tell it."""
    random = np.random.default_rng(1)
    data = [(at, f"w{at // 2}", float(random.integers(0, 2))) for at in range(400)]
    rows = spark.createDataFrame(data, "id long, w string, label double").selectExpr(
        "xxhash64(id) row_id", "'train' split", "*"
    )
    feature = fitted(spec(smoothing=0), rows)
    pair = transform(rows, FittedSpec(features=(feature,)), ("id", "label"), out_of_fold=True).rows.toPandas()
    transformed = transform(rows, FittedSpec(features=(feature,)), ("id", "label")).rows.toPandas()
    assert transformed["w"].corr(transformed["label"]) > 0.6
    assert abs(pair["w"].corr(pair["label"])) < 0.2
