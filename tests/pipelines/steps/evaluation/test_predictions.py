"""Baselines that predict nothing, or what cannot be, are refused by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.stats import norm

from pipelines.errors import DataError
from pipelines.steps.evaluation.predictions import evaluate_predictions
from tests.sample import pipeline


def evaluated(settings: dict[str, Any], content: dict[str, Any]) -> None:
    """Replace how a configuration evaluates."""
    content["evaluate"] = settings


BINARY: dict[str, Any] = {"kind": "binary"}
CLASSES: dict[str, Any] = {"kind": "multiclass", "classes": ["a", "b", "c"]}
NUMBER: dict[str, Any] = {"kind": "regression"}
NAN = float("nan")


@pytest.mark.parametrize(
    ("task", "outputs", "message"),
    [
        (BINARY, [0.5, 1.5], r"it predicts from 0\.5 to 1\.5 on test; expected probabilities from 0 to 1"),
        (BINARY, [-0.5, 0.5], r"it predicts from -0\.5 to 0\.5 on test"),
        (BINARY, [0.5, NAN], r"it predicts from nan to nan on test"),
        (BINARY, [None, None], r"it is null in all rows of the test split"),
        (CLASSES, [1.0, 3.0], r"it predicts 3 on test, which is no class; expected whole numbers from 0 to 2"),
        (CLASSES, [1.0, -1.0], r"it predicts -1 on test"),
        (CLASSES, [1.0, 0.5], r"it predicts 0\.5 on test"),
        (CLASSES, [1.0, NAN], r"it predicts nan on test"),
        (CLASSES, [None, None], r"it is null in all rows of the test split"),
        (NUMBER, [None, None], r"it is null in all rows of the test split"),
    ],
)
def test_what_a_baseline_cannot_predict_is_exit_3(
    spark: SparkSession, tmp_path: Path, task: dict[str, Any], outputs: list[float | None], message: str
) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["train"].pop("monitor", None)
        content.update(task=task, evaluate={})
        content["features"]["baselines"] = {"simple": "1"}

    rows = [(split, label) for split in ("validation", "test") for label in (0.0, 1.0)]
    predictions = spark.createDataFrame(
        [(split, label, 0.5, 1, [0.2, 0.5, 0.3]) for split, label in rows],
        "split string, label float, score float, predicted int, predictions array<float>",
    )
    features = spark.createDataFrame(
        [(*row, each) for row, each in zip(rows, [0.0, 1.0, *outputs], strict=True)],
        "split string, label float, baseline_simple float",
    )
    with pytest.raises(DataError, match=rf"features\.baselines\.simple: {message}") as caught:
        evaluate_predictions(pipeline(tmp_path, "flights", edit), predictions, features)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("labels", "outputs", "message"),
    [
        (
            [0.0, 0.0],
            [0.1, 0.2],
            r"evaluate: the predicted rows of the test split are of one class only \(on time: 2, late: 0\)",
        ),
        (
            [0.0, 1.0],
            [None, 0.2],
            r"features\.baselines\.simple: the predicted rows of the test split .*\(on time: 0, late: 1\)",
        ),
    ],
)
def test_a_split_of_one_class_is_named_where_auc_is_undefined(
    spark: SparkSession, tmp_path: Path, labels: list[float], outputs: list[float | None], message: str
) -> None:
    rows = [("validation", 0.0, 0.3), ("validation", 1.0, 0.7), *zip(["test"] * 2, labels, outputs, strict=True)]
    predictions = spark.createDataFrame([(*row[:2], 0.5) for row in rows], "split string, label float, score float")
    features = spark.createDataFrame(rows, "split string, label float, baseline_simple float")
    config = pipeline(tmp_path, "flights", lambda content: content["features"].update(baselines={"simple": "1"}))
    with pytest.raises(DataError, match=message):
        evaluate_predictions(config, predictions, features)


def test_thresholds_are_chosen_on_validation_alone(spark: SparkSession, tmp_path: Path) -> None:
    # On validation the labels follow the scores from 0.6 on; on test from 0.3 on, where another threshold would be better.
    rows = [(f"{split}", float(score >= least), score) for split, least in (("validation", 0.6), ("test", 0.3))
            for score in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)]  # fmt: skip
    frame = spark.createDataFrame([*rows, ("validation", 0.0, 0.9)], "split string, label float, score double").cache()
    expected: dict[str, tuple[dict[str, Any], float]] = {
        "f1": ({}, 0.6),
        "cost": ({"costs": {"false_positive": 10, "false_negative": 1}}, np.nextafter(0.9, 1)),  # 0.9 is a negative
        "precision": ({"minimum_precision": 0.7}, 0.6),  # 3 of 4
    }
    for by, (more, threshold) in expected.items():
        edit = partial(evaluated, {"threshold_by": by, **more})
        config = pipeline(tmp_path, "thresholds", edit)
        evaluation = evaluate_predictions(config, frame, frame)
        assert {split: metrics["threshold"] for split, metrics in evaluation.metrics.items()} == pytest.approx(
            {"validation": threshold, "test": threshold}, abs=1e-12
        )
    assert evaluation.metrics["test"]["recall"] == pytest.approx(3 / 6)  # at 0.6; at 0.3 it would be 1


def test_a_predicted_quantile_covers_its_share_of_labels(spark: SparkSession, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    true, quantile = random.normal(size=400), norm.ppf(0.9)
    rows = [(("validation", "test")[n % 2], float(value), float(quantile)) for n, value in enumerate(true)]
    frame = spark.createDataFrame(rows, "split string, label double, predicted double")

    def edit(content: dict[str, Any]) -> None:
        content.update(task=NUMBER, evaluate={})
        content["train"].pop("monitor", None)

    evaluation = evaluate_predictions(pipeline(tmp_path, "quantile", edit), frame, frame)
    for split, of in (("validation", true[::2]), ("test", true[1::2])):
        assert evaluation.metrics[split]["coverage"] == pytest.approx((of <= quantile).mean(), abs=1e-12)
    assert evaluation.metrics["test"]["coverage"] == pytest.approx(0.9, abs=0.05)
