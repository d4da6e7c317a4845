"""Intervals, differences from baselines, and slices of the test rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from pyspark.sql import SparkSession
from sklearn import metrics as peer

from pipelines.features.fitted import PART, FittedBucketized, FittedCategorical, FittedCrossed, FittedSpec
from pipelines.steps.evaluation.confidence import MODEL, Confidence, confidence
from tests.sample import pipeline

SPEC = FittedSpec(
    features=(
        FittedCategorical(name="origin", vocabulary=("EWR", "JFK")),
        FittedCrossed(name="leg", of=("origin", "destination"), vocabulary=(f"EWR{PART}LAX",)),
        FittedBucketized(name="age", edges=(5.0, 10.0)),
    )
)
ROWS = 600
WORDS = {0: "(unknown)", 1: "EWR", 2: "JFK"}
"""The categories of `origin` by their id."""


class Scored(NamedTuple):
    """Test rows with random scores, labels and groups, and what `confidence` makes of them."""

    label: npt.NDArray[Any]
    score: npt.NDArray[Any]
    origin: npt.NDArray[Any]
    age: npt.NDArray[Any]
    simple: npt.NDArray[Any]
    result: Confidence


def edit(content: dict[str, Any]) -> None:
    """Declare two baselines and three slices."""
    content["features"]["baselines"] = {"simple": "0.5", "partial": "0.5"}
    content["features"]["bucketized"] = {"age": {"edges": [5, 10]}}
    content["features"]["crossed"] = {"leg": {"of": ["origin", "destination"]}}
    content["evaluate"] = {
        "replicates": 40, "minimum_slice_rows": 100, "slices": ["origin", "leg", ["origin", "age"]],
    }  # fmt: skip


@pytest.fixture(scope="module")
def scored(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Model, baselines and slices, measured once for all tests."""
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
    config = pipeline(tmp_path_factory.mktemp("confidence"), "flights", edit)
    return Scored(label, score, origin, age, simple, confidence(config, SPEC, predictions, rows, limits, fitted))


def test_the_models_metrics_have_an_interval(scored: Scored) -> None:
    auc = scored.result.model["auc"]
    assert auc.estimate == pytest.approx(peer.roc_auc_score(scored.label, scored.score), abs=1e-9)
    assert auc.low < auc.estimate < auc.high


def test_the_model_is_compared_with_baselines_that_predict_every_row(scored: Scored) -> None:
    differences = scored.result.differences
    # A baseline that predicts only some rows has metrics, but nothing that the model could be compared with.
    assert set(differences) == {"simple", "trees"}
    theirs = peer.roc_auc_score(scored.label, scored.simple.astype(np.float32))
    gain = peer.roc_auc_score(scored.label, scored.score) - theirs
    assert differences["simple"]["auc"].estimate == pytest.approx(gain, abs=1e-9)
    assert differences["trees"]["auc"] == (0, 0, 0)


def test_slices_have_their_own_rows_and_metrics(scored: Scored) -> None:
    by_group = {(one.features, one.values): one for one in scored.result.slices}
    assert {values[0] for features, values in by_group if features == ("origin",)} == set(WORDS.values())
    for number, word in WORDS.items():
        own = scored.origin == number
        one = by_group[("origin",), (word,)]
        assert one.rows == own.sum()
        assert one.intervals["auc"].estimate == pytest.approx(
            peer.roc_auc_score(scored.label[own], scored.score[own]), abs=1e-9
        )
    assert {values for features, values in by_group if features == ("leg",)} == {("(unknown)",), ("EWR, LAX",)}


def test_slices_of_few_rows_are_counted_and_not_measured(scored: Scored) -> None:
    pairs = [int(((scored.origin == o) & (scored.age == a)).sum()) for o in WORDS for a in range(4)]
    few = [count for count in pairs if count < 100]
    [suppressed] = scored.result.suppressed
    assert (suppressed.features, suppressed.groups, suppressed.rows) == (("origin", "age"), len(few), sum(few))
    assert not [one for one in scored.result.slices if one.features == ("origin", "age") and one.rows < 100]
