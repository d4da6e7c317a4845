"""Features that are the label in disguise are named, and others are not; what each alone can rank is scikit-learn's AUC."""

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.metrics import roc_auc_score

from pipelines.config import FeaturesConfig
from pipelines.features.leakage import late_counts, leak_requests, leak_warnings, single_feature_auc
from tests.pipelines.features.profiled import profiled

ROWS = 4000
CONFIG = FeaturesConfig.model_validate(
    {
        "rows_of": "t",
        "derive": "m:f",
        "split": {"validation_from": "2013-10-01", "test_from": "2013-11-01"},
        "numeric": {"weak": {}, "noise": {}, "absent": {}, "few": {}},
        "cyclic": {"reversed": {"period": 24}},
        "bucketized": {"all_missing": {"edges": [0]}},
        "categorical": {"city": {}, "name": {}, "disguise": {}},
    }
)


@pytest.fixture(scope="module")
def data(spark: SparkSession) -> DataFrame:
    """Labels, and features that tell of them more and less."""
    random = np.random.default_rng(7)
    label = (random.random(ROWS) < 0.3).astype(float)
    rows = [
        (
            float(y),
            float(y + random.normal(0, 1.5)),
            float(random.normal()),
            None if y else 1.0 + index % 7,
            float(random.integers(0, 3) + y),
            float(-y + random.normal(0, 0.01)),
            None,
            ["Oslo", "Bergen"][int(random.random() < 0.3 + 0.3 * y)],
            f"name {index}",
            "late" if y else ["on time", "early"][index % 2],
        )
        for index, y in enumerate(label)
    ]
    columns = "weak double, noise double, absent double, few double, reversed double, all_missing double"
    return spark.createDataFrame(rows, f"label double, {columns}, city string, name string, disguise string").persist()


@pytest.fixture(scope="module")
def aucs(data: DataFrame) -> dict[str, float]:
    """What each feature alone can rank."""
    return single_feature_auc(
        CONFIG, profiled(data, leak_requests(CONFIG), F.when(F.col("label") > 0.5, "positive").otherwise("negative"))
    )


@pytest.mark.parametrize("name", ["weak", "noise", "few", "reversed"])
def test_numbers_are_scikit_learns(data: DataFrame, aucs: dict[str, float], name: str) -> None:
    rows = data.select("label", name).toPandas()
    auc = roc_auc_score(rows["label"], rows[name])
    assert aucs[name] == pytest.approx(max(auc, 1 - auc), abs=0.005)


def test_a_value_that_is_missing_because_of_the_label_is_seen(aucs: dict[str, float]) -> None:
    assert aucs["absent"] == 1
    assert aucs["all_missing"] == 0.5


def test_words_are_ranked_by_their_share_of_positives(data: DataFrame, aucs: dict[str, float]) -> None:
    rows = data.select("label", (F.col("city") == "Bergen").cast("int").alias("x")).toPandas()
    assert aucs["city"] == pytest.approx(roc_auc_score(rows["label"], rows["x"]), abs=1e-9)
    assert aucs["disguise"] == 1
    assert aucs["name"] == 0.5  # every word but once: nothing can be learnt of them


def test_leaking_features_are_named_the_worst_first(aucs: dict[str, float]) -> None:
    warnings = list(leak_warnings(aucs, 0.95))
    assert {text.split(":")[0] for text in warnings} == {"features.absent", "features.reversed", "features.disguise"}
    assert "AUC of 1.000, above features.proxy_auc of 0.95" in warnings[0]


def test_without_one_of_the_classes_there_is_nothing_to_rank(data: DataFrame) -> None:
    of_one = profiled(data.where("label = 0"), leak_requests(CONFIG), F.lit("negative"))
    assert single_feature_auc(CONFIG, of_one) == {}


def test_values_known_too_late_are_counted(spark: SparkSession) -> None:
    rows = spark.sql(
        "SELECT * FROM VALUES (timestamp'2013-01-01 10:00', timestamp'2013-01-01 10:00'), "
        "(timestamp'2013-01-01 10:00', timestamp'2013-01-01 09:59'), (null, timestamp'2013-01-01 10:00') AS t(stamp, at)"
    )
    assert rows.agg(*late_counts({"temp": "stamp"}, "at")).collect()[0]["__late temp"] == 1
