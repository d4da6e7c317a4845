"""Baselines that predict nothing, or what cannot be, are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipelines.errors import DataError
from pipelines.flows.judging import judge
from tests.sample import pipeline

BINARY: dict[str, Any] = {"kind": "binary"}
CLASSES: dict[str, Any] = {"kind": "multiclass", "classes": ["a", "b", "c"]}
NUMBER: dict[str, Any] = {"kind": "regression"}
NAN = float("nan")


@pytest.mark.parametrize(
    ("task", "said", "message"),
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
    spark: SparkSession, tmp_path: Path, task: dict[str, Any], said: list[float | None], message: str
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
        [(*row, each) for row, each in zip(rows, [0.0, 1.0, *said], strict=True)],
        "split string, label float, baseline_simple float",
    )
    with pytest.raises(DataError, match=rf"features\.baselines\.simple: {message}") as caught:
        judge(pipeline(tmp_path, "flights", edit), predictions, features)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("labels", "said", "message"),
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
    spark: SparkSession, tmp_path: Path, labels: list[float], said: list[float | None], message: str
) -> None:
    rows = [("validation", 0.0, 0.3), ("validation", 1.0, 0.7), *zip(["test"] * 2, labels, said, strict=True)]
    predictions = spark.createDataFrame([(*row[:2], 0.5) for row in rows], "split string, label float, score float")
    features = spark.createDataFrame(rows, "split string, label float, baseline_simple float")
    config = pipeline(tmp_path, "flights", lambda content: content["features"].update(baselines={"simple": "1"}))
    with pytest.raises(DataError, match=message):
        judge(config, predictions, features)
