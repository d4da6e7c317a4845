"""Intervals, differences from baselines, and slices of the test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn import metrics as peer

from pipelines.features.fitted import PART, FittedBucketized, FittedCategorical, FittedCrossed, FittedSpec
from pipelines.steps.evaluation.confidence import MODEL, confidence
from tests.sample import pipeline

SPEC = FittedSpec(
    features=(
        FittedCategorical(name="origin", vocabulary=("EWR", "JFK")),
        FittedCrossed(name="leg", of=("origin", "destination"), vocabulary=(f"EWR{PART}LAX",)),
        FittedBucketized(name="age", edges=(5.0, 10.0)),
    )
)
ROWS = 600


def test_the_model_its_baselines_and_slices_are_measured_in_one_pass(spark: SparkSession, tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["features"]["baselines"] = {"simple": "0.5", "partial": "0.5"}
        content["features"]["bucketized"] = {"age": {"edges": [5, 10]}}
        content["features"]["crossed"] = {"leg": {"of": ["origin", "destination"]}}
        content["evaluate"] = {
            "replicates": 40, "minimum_slice_rows": 100, "slices": ["origin", "leg", ["origin", "age"]],
        }  # fmt: skip

    random = np.random.default_rng(5)
    ids = np.arange(ROWS) * 31
    score, label = random.random(ROWS).astype(np.float32), random.integers(0, 2, ROWS)
    score = (0.7 * score + 0.3 * label).astype(np.float32)
    origin, leg, age = (random.integers(0, top, ROWS) for top in (3, 2, 4))
    age[:20], origin[:20] = 3, 2
    simple = random.random(ROWS)
    frame = [
        (int(ids[n]), "test", float(label[n]), float(score[n]), int(origin[n]), int(leg[n]), int(age[n]), float(simple[n]))
        for n in range(ROWS)
    ]
    columns = "row_id long, split string, label float, score float, origin int, leg int, age int, baseline_simple float"
    rows = spark.createDataFrame(frame, columns).selectExpr("*", "if(row_id > 31, 0.5F, null) as baseline_partial").cache()
    other = spark.createDataFrame([(1, "validation", 1.0, 0.9)], "row_id long, split string, label float, score float")
    predictions = rows.select("row_id", "split", "label", "score").unionByName(other)
    fitted = {"trees": predictions.selectExpr("row_id", "split", "label", "score")}
    limits = dict.fromkeys((MODEL, "simple", "partial", "trees"), 0.5)
    result = confidence(pipeline(tmp_path, "flights", edit), SPEC, predictions, rows, limits, fitted)

    assert result.model["auc"].estimate == pytest.approx(peer.roc_auc_score(label, score), abs=1e-9)
    assert result.model["auc"].low < result.model["auc"].estimate < result.model["auc"].high
    # A baseline that predicts only some rows has metrics, but nothing that the model could be compared with.
    assert set(result.differences) == {"simple", "trees"}
    gain = peer.roc_auc_score(label, score) - peer.roc_auc_score(label, simple.astype(np.float32))
    assert result.differences["simple"]["auc"].estimate == pytest.approx(gain, abs=1e-9)
    assert result.differences["trees"]["auc"] == (0, 0, 0)

    by_group = {(one.features, one.values): one for one in result.slices}
    words = {0: "(unknown)", 1: "EWR", 2: "JFK"}
    assert {values[0] for features, values in by_group if features == ("origin",)} == set(words.values())
    for number, word in words.items():
        own = origin == number
        one = by_group[("origin",), (word,)]
        assert one.rows == own.sum()
        assert one.intervals["auc"].estimate == pytest.approx(peer.roc_auc_score(label[own], score[own]), abs=1e-9)
    assert {values for features, values in by_group if features == ("leg",)} == {("(unknown)",), ("EWR, LAX",)}
    pairs = {(words[o], a): int(((origin == o) & (age == a)).sum()) for o in words for a in range(4)}
    few = [count for count in pairs.values() if count < 100]
    [suppressed] = result.suppressed
    assert (suppressed.features, suppressed.groups, suppressed.rows) == (("origin", "age"), len(few), sum(few))
    assert not [one for features, one in by_group.items() if features[0] == ("origin", "age") and one.rows < 100]
