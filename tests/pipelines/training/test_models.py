"""Networks by configuration, and the exported scorer: what Spark scales and what the model scales are the same."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.config import Network, Optimizer
from pipelines.errors import ConfigError
from pipelines.fitted import FittedBucketized, FittedCategorical, FittedCyclic, FittedNumeric, FittedSpec
from pipelines.serving.bundle import Bundle
from pipelines.stages.feature_transform import transform
from pipelines.training.export import export
from pipelines.training.models import build_network, build_optimizer, build_preprocessing, build_scorer

SPEC = FittedSpec(
    features=(
        FittedNumeric(name="pressure", fill=1017.9, clip=None, log1p=False, offset=1017.8987, scale=7.4238, indicator=True),
        FittedNumeric(name="rain", fill=0, clip=(0, 5), log1p=True, offset=0.01, scale=0.3),
        FittedCyclic(name="wind", fill=200, period=360),
        FittedBucketized(name="wind_class", edges=(-0.1, 45.0, 90.0, 1e9)),
        FittedCategorical(name="place", vocabulary=("JFK", "Zürich", "東京")),
    )
)
ROWS: list[tuple[float | None, float | None, float | None, str | None]] = [
    (1012.3, 0.2, 90.0, "JFK"),
    (None, None, None, None),
    (1e9, 1e9, -720.5, "nowhere"),
    (-1e9, -3.0, 359.999, "東京"),
    (983.8, 0.0, 0.0, "Zürich"),
    (1042.1, 4.999, 180.0, ""),
]


def network() -> keras.Model:
    """A small network that takes SPEC's features."""
    keras.utils.set_random_seed(1)
    return build_network(Network(hidden=(8, 4)), len(SPEC.numbers), tuple(word.size for word in SPEC.words))


def raw_values() -> dict[str, npt.NDArray[Any]]:
    """ROWS as a model takes them: NaN and '' for what is missing."""
    columns = list(zip(*ROWS, strict=True))
    floats = {name: np.array(column, float) for name, column in zip(("pressure", "rain", "wind"), columns, strict=False)}
    return {**floats, "wind_class": floats["wind"], "place": np.array([word or "" for word in columns[3]], object)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An exported model."""
    uri = str(tmp_path_factory.mktemp("models") / "m")
    export(network(), SPEC, {"run_id": "r"}, uri)
    return uri


def test_spark_and_the_exported_model_agree(spark: SparkSession, bundle: str) -> None:
    raw = spark.createDataFrame(
        [(index, *row) for index, row in enumerate(ROWS)], "key int, pressure double, rain double, wind double, place string"
    )
    features = transform(raw.withColumn("wind_class", F.col("wind")), SPEC, ("key",)).rows.orderBy("key").toArrow().to_batches()
    loaded = Bundle(bundle)
    from_spark = np.concatenate([loaded.score_features(batch) for batch in features])
    np.testing.assert_allclose(loaded.score(raw_values()), from_spark, rtol=0, atol=1e-6)
    assert len(np.unique(from_spark)) > len(ROWS) // 2  # the extremes may saturate, the others differ


def test_keras_file_and_saved_model_agree(bundle: str) -> None:
    model = keras.models.load_model(Path(bundle) / "model.keras")
    types = {"place": tf.string}
    scores = model({name: tf.constant(value, types.get(name, tf.float64)) for name, value in raw_values().items()})
    np.testing.assert_allclose(scores, Bundle(bundle).score(raw_values()), rtol=0, atol=1e-7)


def test_the_manifest_carries_the_fitted_spec_and_nothing_is_pickled(bundle: str) -> None:
    loaded = Bundle(bundle)
    assert loaded.spec == SPEC
    assert loaded.manifest["fingerprint"] == SPEC.fingerprint
    assert not [path for path in Path(bundle).rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]


@pytest.mark.parametrize(
    "features",
    [SPEC.features[:3], SPEC.features[3:], SPEC.features[3:4]],
    ids=["numbers alone", "ids alone", "buckets alone"],
)
def test_a_model_of_one_kind_of_feature(features: tuple[object, ...]) -> None:
    spec = FittedSpec.model_validate({"features": features})
    built = build_network(Network(hidden=(4,)), len(spec.numbers), tuple(word.size for word in spec.words))
    types = {"place": tf.string}
    values = {
        name: tf.constant(value, types.get(name, tf.float64))
        for name, value in raw_values().items()
        if name in {feature.name for feature in spec.features}
    }
    assert build_scorer(built, build_preprocessing(spec))(values).shape == (len(ROWS),)


def test_the_network_is_what_the_configuration_says() -> None:
    config = Network(hidden=(5, 3), activation="tanh", initializer="glorot_uniform", dropout=0.5, embedding_size=2)
    built = build_network(config, numbers=4, vocabulary_sizes=(10, 2))
    kinds = [type(layer).__name__ for layer in built.layers]
    assert (kinds.count("Dense"), kinds.count("Dropout"), kinds.count("Embedding")) == (3, 2, 2)
    first = next(layer for layer in built.layers if layer.name == "hidden_0")
    assert first.activation.__name__ == "tanh"
    assert type(first.kernel_initializer).__name__ == "GlorotUniform"
    # Embeddings 10 * 2 and 2 * 1; dense (4 + 2 + 1) * 5 + 5, 5 * 3 + 3, 3 * 1 + 1.
    assert built.count_params() == 20 + 2 + 40 + 18 + 4


@pytest.mark.parametrize("wrong", [{"activation": "rellu"}, {"initializer": "hee"}])
def test_unknown_names_are_exit_2(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"train\.network: Keras knows no activation .* or no initializer"):
        build_network(Network(**wrong), 2, ())


@pytest.mark.parametrize("wrong", [{"name": "Adamm"}, {"options": {"momentun": 0.9}}])
def test_an_optimizer_that_keras_cannot_make_is_exit_2(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"train\.optimizer: Keras cannot make"):
        build_optimizer(Optimizer.model_validate(wrong), steps=10)


def test_a_cosine_schedule_ends_at_zero() -> None:
    optimizer = build_optimizer(Optimizer(learning_rate=0.1, schedule="cosine"), steps=100)
    schedule = optimizer._learning_rate
    assert [float(schedule(step)) for step in (0, 50, 100)] == pytest.approx([0.1, 0.05, 0], abs=1e-8)
