"""Intervals on Spark: one pass whose result depends on rows alone, not on how they lie in partitions."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn import metrics as peer

from pipelines.config import Binary, Multiclass, Regression
from pipelines.errors import ConfigError, DataError
from pipelines.evaluation.weights import hash_ids, poisson_weights
from pipelines.steps.evaluation.bootstrap import paired_interval, replicate_metrics

ROWS, DRAWN = 3000, 12
NO_THRESHOLDS: dict[str, float] = {}


@pytest.fixture(scope="module")
def predicted(spark: SparkSession) -> DataFrame:
    """Binary predictions of two models; every 50th row of the second has the same score."""
    unit = F.pmod(F.xxhash64("row_id", F.lit(1)), F.lit(1000)) / 1000
    rows = spark.range(ROWS).select((F.col("id") * 7919 - 10**7).alias("row_id"))
    rows = rows.withColumn("better", unit.cast("float"))
    label = (F.pmod(F.xxhash64("row_id", F.lit(2)), F.lit(1000)) / 1000 < F.col("better")).cast("float")
    noise = F.pmod(F.xxhash64("row_id", F.lit(3)), F.lit(500)) / 1000
    worse = F.when(F.pmod("row_id", F.lit(50)) == 0, 0.5).otherwise(F.col("better") * 0.5 + noise)
    return rows.withColumns({"label": label, "worse": worse.cast("float")}).cache()


def scored(predicted: DataFrame, name: str) -> DataFrame:
    return predicted.select("row_id", "label", F.col(name).alias("score"))


def test_hashes_are_sparks(spark: SparkSession) -> None:
    ids = [0, 1, -1, 2**63 - 1, -(2**63), 123456789]
    rows = spark.createDataFrame([(i,) for i in ids], "row_id long").select(F.xxhash64("row_id").alias("hash")).collect()
    assert hash_ids(np.array(ids)).view(np.int64).tolist() == [row.hash for row in rows]


def test_weights_are_those_of_sparks_hash(spark: SparkSession) -> None:
    rows = spark.range(64).select(F.xxhash64("id", F.lit(2).cast("long")).alias("hash")).collect()
    # The chance of no draw is 1/e: 24109 of 65536 values of each 16 bits. Replicates 8 to 11 share the hash of number 2.
    zero = [[(row.hash >> 16 * lane & 0xFFFF) < 24109 for lane in range(4)] for row in rows]
    assert (poisson_weights(np.arange(64), range(8, 12)) == 0).tolist() == zero


def test_replicates_are_exact_and_partitions_change_nothing(predicted: DataFrame) -> None:
    task, limits = Binary(), {"better": 0.6, "worse": 0.4}
    models = {name: scored(predicted, name) for name in limits}
    drawn = replicate_metrics(models, task=task, thresholds=limits, replicates=DRAWN)
    shuffled = {name: frame.repartition(7, "score") for name, frame in models.items()}
    again = replicate_metrics(shuffled, task=task, thresholds=limits, replicates=DRAWN)
    rows = predicted.toArrow()
    weights = poisson_weights(rows["row_id"].to_numpy(), range(DRAWN + 1)).astype(float)
    labels = rows["label"].to_numpy()
    for name, limit in limits.items():
        scores = rows[name].to_numpy().astype(float)
        for at, weight in enumerate(weights.T):
            expected = {
                "auc": peer.roc_auc_score(labels, scores, sample_weight=weight),
                "average_precision": peer.average_precision_score(labels, scores, sample_weight=weight),
                "f1": peer.f1_score(labels, scores >= limit, sample_weight=weight),
            }
            assert {metric: drawn[name].metrics[metric][at] for metric in expected} == pytest.approx(expected, abs=1e-9)
        assert {n: v.tolist() for n, v in drawn[name].metrics.items()} == {
            n: v.tolist() for n, v in again[name].metrics.items()
        }
        assert drawn[name].checksum == again[name].checksum


def test_a_paired_interval_is_narrower_than_either_models(predicted: DataFrame) -> None:
    worse, better = scored(predicted, "worse"), scored(predicted, "better")
    interval = paired_interval(worse, better, "auc", task=Binary(), replicates=100)
    rows = predicted.toArrow()
    aucs = [peer.roc_auc_score(rows["label"].to_numpy(), rows[name].to_numpy()) for name in ("better", "worse")]
    assert interval.estimate == pytest.approx(aucs[0] - aucs[1], abs=1e-9)
    assert 0 < interval.low < interval.estimate < interval.high
    same = paired_interval(better, better, "auc", task=Binary(), replicates=4)
    assert same == (0, 0, 0)


def test_what_cannot_be_compared_is_refused(predicted: DataFrame) -> None:
    better = scored(predicted, "better")
    with pytest.raises(DataError, match="the champion predicted 2,999 rows and the challenger 3,000"):
        paired_interval(better.where("row_id != -10000000"), better, "auc", task=Binary(), replicates=4)
    other = better.withColumn("label", F.when(F.col("row_id") == -10000000, 1 - F.col("label")).otherwise(F.col("label")))
    with pytest.raises(DataError, match="other row ids or labels"):
        paired_interval(better, other, "auc", task=Binary(), replicates=4)
    with pytest.raises(DataError, match="challenger has predicted no labelled row"):
        paired_interval(better, better.where("false"), "auc", task=Binary(), replicates=4)
    with pytest.raises(ConfigError, match="mae is no metric of a binary task; expected one of auc, "):
        paired_interval(better, better, "mae", task=Binary())


def test_slices_are_measured_beside_models(predicted: DataFrame) -> None:
    better = scored(predicted, "better")
    group = F.when(F.pmod("row_id", F.lit(50)) == 0, "few").when(F.pmod("row_id", F.lit(3)) == 0, "some").otherwise("others")
    slices = better.withColumn("group", group)
    measured = replicate_metrics(
        {"model": better}, task=Binary(), thresholds={"model": 0.6}, replicates=DRAWN, slices=slices, least_rows=100
    )
    assert (measured["few"].rows, measured["few"].metrics) == (ROWS // 50, {})
    rows = slices.where("group = 'some'").toArrow()
    weight = poisson_weights(rows["row_id"].to_numpy(), range(DRAWN + 1)).astype(float)[:, -1]
    auc = peer.roc_auc_score(rows["label"].to_numpy(), rows["score"].to_numpy().astype(float), sample_weight=weight)
    assert measured["some"].metrics["auc"][-1] == pytest.approx(auc, abs=1e-9)
    assert sum(measured[name].rows for name in ("few", "some", "others")) == measured["model"].rows == ROWS


def test_classes_and_numbers_have_intervals_too(predicted: DataFrame) -> None:
    verdict = (F.col("better") > 0.5).cast("float").alias("predicted")
    both = F.array(1 - F.col("better"), "better").alias("predictions")
    classes = predicted.select("row_id", "label", verdict, both)
    task = Multiclass(kind="multiclass", classes=("no", "yes"))
    of_classes = replicate_metrics({"model": classes}, task=task, thresholds=NO_THRESHOLDS, replicates=DRAWN)["model"]
    steps = predicted.select(
        "row_id", F.array("label", "worse").alias("labels"), F.array(F.col("better"), F.lit(0.5)).alias("predictions")
    )
    one = predicted.select("row_id", "label", F.col("better").alias("predicted"))
    numbers = replicate_metrics(
        {"steps": steps, "one": one}, task=Regression(kind="regression"), thresholds=NO_THRESHOLDS, replicates=DRAWN
    )
    rows = predicted.toArrow().to_pandas().astype({"better": float, "worse": float})
    weights = poisson_weights(rows["row_id"].to_numpy(), range(DRAWN + 1)).astype(float)
    true = np.stack([rows["label"], rows["worse"]])
    predictions = np.stack([rows["better"], np.full(ROWS, 0.5)])
    for at, weight in enumerate(weights.T):
        accuracy = peer.accuracy_score(rows["label"], rows["better"] > 0.5, sample_weight=weight)
        assert of_classes.metrics["accuracy"][at] == pytest.approx(accuracy, abs=1e-9)
        loss = peer.log_loss(rows["label"], np.clip(rows["better"], 1.1920929e-07, 1 - 1.1920929e-07), sample_weight=weight)
        assert of_classes.metrics["log_loss"][at] == pytest.approx(loss, abs=1e-6)
        errors = np.abs(true - predictions)
        assert numbers["steps"].metrics["mae"][at] == pytest.approx((errors @ weight).sum() / weight.sum() / 2, abs=1e-9)
        assert numbers["one"].metrics["mae"][at] == pytest.approx(np.average(errors[0], weights=weight), abs=1e-9)
