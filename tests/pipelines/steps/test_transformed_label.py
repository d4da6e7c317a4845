"""A label that is transformed, from the features to the metrics, in one application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.steps.evaluate import STEP as EVALUATE
from pipelines.steps.features import STEP as FEATURES
from pipelines.steps.train import STEP as TRAIN
from tests.pipelines.conftest import Run


@pytest.mark.slow
def test_a_transformed_label_is_scored_and_measured_in_its_own_unit(cleaned_departures: Run) -> None:
    def edit(content: dict[str, Any]) -> None:
        content.update(task={"kind": "regression", "transform": "log1p", "clip": True}, evaluate={"maximum": {"mae": 1.0}})
        content["features"]["baselines"] = {"always_late": "1.0"}
        content["train"].update(epochs=1, monitor="validation_mae")

    context = cleaned_departures(FEATURES, TRAIN, EVALUATE, config=edit)
    train = context.lake.read("features").where("split = 'train'").toPandas()["label"].to_numpy(np.float64)
    stats = context.lake.read("feature_stats").where("kind = 'label'").collect()[0]
    assert (stats["mean"], stats["stddev"]) == pytest.approx((np.log1p(train).mean(), np.log1p(train).std()), rel=1e-9)
    assert (stats["minimum"], stats["maximum"]) == (0, 1)
    trained = context.runs.needed("train", by="the test")
    spec = json.loads((Path(trained.artifacts["model"]) / "features.json").read_text())
    assert spec["label"] == json.loads(stats["fitted"])
    assert (spec["label"]["transform"], spec["label"]["clip"]) == ("log1p", True)
    of_run = f"split = 'test' and run_id = '{context.run_id}'"
    scored = context.lake.read("predictions").where(of_run).toPandas()
    predicted, label = (scored[name].to_numpy(np.float64) for name in ("predicted", "label"))
    assert 0 <= predicted.min() < predicted.max() <= 1
    of_test = context.lake.read("evaluation_metrics").where(of_run).collect()
    metrics = {(row.baseline, row.metric): row.value for row in of_test}
    assert metrics[None, "mae"] == pytest.approx(np.abs(predicted - label).mean(), rel=1e-9)
    assert metrics["always_late", "mae"] == pytest.approx(np.abs(1 - label).mean(), rel=1e-9)
