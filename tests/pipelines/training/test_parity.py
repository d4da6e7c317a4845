"""The parity gate: Spark and the exported model make the same features of any raw row, or there is no model."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.config import Network
from pipelines.errors import QualityError
from pipelines.fitted import (
    FittedBucketized,
    FittedCategorical,
    FittedCrossed,
    FittedCyclic,
    FittedNumeric,
    FittedOrdinal,
    FittedSpec,
)
from pipelines.stages.feature_transform import transform
from pipelines.training.export import export
from pipelines.training.job import Sample
from pipelines.training.models import build_network
from pipelines.training.parity import check_parity

SPEC = FittedSpec(
    features=(
        FittedNumeric(name="plain", fill=3.5, clip=None, log1p=False, offset=2.25, scale=0.75, indicator=True),
        FittedNumeric(name="bent", fill=1.0, clip=(0.0, 1e6), log1p=True, offset=4.1, scale=2.3),
        FittedOrdinal(name="rank", vocabulary=("low", "mid", "high", "é"), fill=1 / 3),
        FittedCyclic(name="angle", fill=12.0, period=24.0),
        FittedBucketized(name="group", edges=(-1.0, 0.0, 0.1, 1e300)),
        FittedCategorical(name="word", vocabulary=("a", "A", " a", "é", "e\u0301", "東京", "\U0001f680", "[UNK]")),
        FittedCategorical(name="never", vocabulary=()),
        FittedCrossed(
            name="both", of=("word", "rank"), vocabulary=("a\x1flow", "A\x1flow", "[UNK]\x1fé", "a\x1fhigh", "東京\x1fmid")
        ),
        FittedCrossed(name="none", of=("rank", "never"), vocabulary=()),
    )
)
WORDS = ("word", "rank", "never")
FLOATS = ("plain", "bent", "angle", "group")
# TensorFlow takes a subnormal number for zero.
NUMBER = (
    st.none()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.sampled_from([0.0, -0.0, 0.1, 0.1 - 2**-56, -1.0, 1e300])
)
# Beyond this a sine of a float64 angle says nothing: an ulp is a turn.
ANGLE = st.none() | st.floats(-1e9, 1e9)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
WORD = st.none() | st.sampled_from(["", "a", "A", " a", "é", "e\u0301", "東京", "\U0001f680", "[UNK]", "a\x1flow"]) | TEXT
RANK = st.none() | st.sampled_from(["", "low", "mid", "high", "é", "none"]) | TEXT
ROW = st.tuples(NUMBER, NUMBER, ANGLE, NUMBER, WORD, RANK, TEXT)


def network() -> keras.Model:
    """A small network that takes SPEC's features."""
    return build_network(Network(hidden=(2,)), len(SPEC.numbers), tuple(word.size for word in SPEC.words))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported SavedModel."""
    uri = str(tmp_path_factory.mktemp("models") / "m")
    export(network(), SPEC, {}, uri)
    return Path(uri) / "saved_model"


def samples(spark: SparkSession, rows: list[tuple[Any, ...]]) -> list[Sample]:
    """Raw rows, and the features that Spark makes of them; those that it refuses are left out."""
    schema = ", ".join(["key int", *(f"{name} double" for name in FLOATS), *(f"{name} string" for name in WORDS)])
    raw = spark.createDataFrame([(key, *row) for key, row in enumerate(rows)], schema)
    made = transform(raw, SPEC, ("key",)).rows
    columns = F.to_json(F.struct(*SPEC.numbers, *(word.name for word in SPEC.words)))
    found = {row.key: row.features for row in made.select("key", columns.alias("features")).collect()}
    names = (*FLOATS, *WORDS)
    return [
        Sample(raw=dict(zip(names, rows[key], strict=True)), features=json.loads(features)) for key, features in found.items()
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=20, max_size=60))
def test_any_row_becomes_the_same_features(spark: SparkSession, saved: Path, rows: list[tuple[Any, ...]]) -> None:
    found = check_parity(saved, SPEC, samples(spark, rows))
    assert found.difference <= 1e-6


def test_what_a_model_makes_otherwise_is_named_and_nothing_is_published(spark: SparkSession, tmp_path: Path) -> None:
    right = samples(spark, [(1.0, 2.0, 3.0, 0.05, "a", "low", "x"), (None,) * 7])
    wrong = [right[0].model_copy(update={"features": {**right[0].features, "bent": 9.0, "word": 4.0}}), right[1]]
    with pytest.raises(QualityError, match=r"in 2 values.*bent: Spark 9\.0, model -1\.3.*word: Spark 4\.0, model 1") as caught:
        export(network(), SPEC, {}, str(tmp_path / "m"), wrong)
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []
    parity = export(network(), SPEC, {}, str(tmp_path / "m"), right)
    assert json.loads((tmp_path / "m" / "manifest.json").read_text())["parity"]["rows"] == parity.rows == 2


def test_the_served_graph_gives_features_and_scores(spark: SparkSession, saved: Path) -> None:
    model = tf.saved_model.load(str(saved))
    raw = {name: tf.constant([0.5, np.nan], tf.float64) for name in FLOATS} | {name: tf.constant(["é", ""]) for name in WORDS}
    made = model.features(raw)
    np.testing.assert_array_equal(model.score_features(made["numbers"], made["ids"]), model.serve(raw))
