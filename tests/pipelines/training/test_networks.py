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

from pipelines.config import Network
from pipelines.errors import ConfigError
from pipelines.features.fitted import FittedBucketized, FittedCategorical, FittedCyclic, FittedNumeric, FittedSpec
from pipelines.features.transform import transform
from pipelines.serving.bundle import Bundle
from pipelines.training.export import export
from pipelines.training.networks import build_network
from pipelines.training.preprocessing import build_preprocessing, build_scorer
from pipelines.training.tasks import BinaryHead

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
    return build_network(Network(hidden=(8, 4)), SPEC)


def spec_of_sizes(numbers: int, *sizes: int) -> FittedSpec:
    """A spec of so many numbers, and of ids so many each."""
    scale = {"fill": 0.0, "clip": None, "log1p": False, "offset": 0.0, "scale": 1.0}
    ids = ({"kind": "hashed", "name": f"w{at}", "buckets": size - 1} for at, size in enumerate(sizes))
    features = [{"kind": "numeric", "name": f"n{at}", **scale} for at in range(numbers)]
    return FittedSpec.model_validate({"features": [*features, *ids]})


def raw_values() -> dict[str, npt.NDArray[Any]]:
    """ROWS as a model takes them: NaN and '' for what is missing."""
    columns = list(zip(*ROWS, strict=True))
    floats = {name: np.array(column, float) for name, column in zip(("pressure", "rain", "wind"), columns, strict=False)}
    return {**floats, "wind_class": floats["wind"], "place": np.array([word or "" for word in columns[3]], object)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An exported model."""
    uri = str(tmp_path_factory.mktemp("models") / "m")
    export(network(), SPEC, BinaryHead(), {"run_id": "r", "task": {"kind": "binary"}}, uri)
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
    built = build_network(Network(hidden=(4,)), spec)
    types = {"place": tf.string}
    values = {
        name: tf.constant(value, types.get(name, tf.float64))
        for name, value in raw_values().items()
        if name in {feature.name for feature in spec.features}
    }
    assert build_scorer(built, build_preprocessing(spec), BinaryHead())(values).shape == (len(ROWS),)


def test_the_network_is_what_the_configuration_says() -> None:
    config = Network(hidden=(5, 3), activation="tanh", initializer="glorot_uniform", dropout=0.5, embedding_size=2)
    built = build_network(config, spec_of_sizes(4, 10, 2))
    kinds = [type(layer).__name__ for layer in built.layers]
    assert (kinds.count("Dense"), kinds.count("Dropout"), kinds.count("Embedding")) == (3, 2, 2)
    first = next(layer for layer in built.layers if layer.name == "hidden_0")
    assert first.activation.__name__ == "tanh"
    assert type(first.kernel_initializer).__name__ == "GlorotUniform"
    # Embeddings 10 * 2 and 2 * 1; dense (4 + 2 + 1) * 5 + 5, 5 * 3 + 3, 3 * 1 + 1.
    assert built.count_params() == 20 + 2 + 40 + 18 + 4


def of_kinds(**kinds: dict[str, Any]) -> FittedSpec:
    """A spec of one feature of each given kind."""
    return FittedSpec.model_validate({"features": [{"kind": kind, "name": kind, **given} for kind, given in kinds.items()]})


IMAGE = {"height": 8, "width": 6, "channels": 1, "divide_by": 255}
CHANNEL = {"sequence": "past", "of": "x", "length": 5, "fill": 0, "clip": None, "log1p": False, "offset": 0, "scale": 1}


def test_convolutions_stand_over_images() -> None:
    config = Network.model_validate({"hidden": [3], "image": {"filters": [4, 2], "kernel": 3}})
    built = build_network(config, of_kinds(image=IMAGE), outputs=10)
    # 3 * 3 * 1 * 4 + 4, 3 * 3 * 4 * 2 + 2; pooled twice, 8 by 6 is 2 by 1, of 2 filters; then 4 * 3 + 3 and 3 * 10 + 10.
    assert built.count_params() == 40 + 74 + 15 + 40
    assert built.output_shape == (None, 10)
    small = of_kinds(image={**IMAGE, "width": 3})
    with pytest.raises(ConfigError, match=r"train\.network\.image: image is 8 by 3; 2 poolings of 2 need at least 4"):
        build_network(config, small)


@pytest.mark.parametrize(("cell", "gates", "biases"), [("lstm", 4, 1), ("gru", 3, 2)])
def test_recurrent_layers_stand_over_sequences(cell: str, gates: int, biases: int) -> None:
    config = Network.model_validate({"hidden": [], "sequence": {"cell": cell, "units": [3, 2]}})
    built = build_network(config, of_kinds(channel=CHANNEL), outputs=4)
    layers = [gates * units * (inputs + units + biases) for inputs, units in ((1, 3), (3, 2))]
    assert built.count_params() == sum(layers) + 2 * 4 + 4
    assert built.output_shape == (None, 4)


@pytest.mark.parametrize("pooling", ["mean", "max", "lstm", "gru"])
def test_a_text_without_words_is_like_any_other_and_words_after_it_change_nothing(pooling: str) -> None:
    config = Network.model_validate(
        {"hidden": [4], "text": {"embedding_size": 3, "pooling": pooling, "units": 2, "dropout": 0.5}}
    )
    built = build_network(config, of_kinds(text={"length": 4, "vocabulary": ["a", "b"]}))
    texts = np.array([[0, 0, 0, 0], [2, 3, 0, 0], [2, 3, 1, 2]], np.int32)
    outputs = built([np.zeros((3, 0), np.float32), np.zeros((3, 0), np.int32), texts]).numpy()
    assert np.isfinite(outputs).all()
    assert outputs.shape == (3,)
    assert len(set(outputs.tolist())) == 3


def test_the_mean_is_of_the_words_that_are_there() -> None:
    config = Network.model_validate({"hidden": [], "text": {"embedding_size": 2}})
    built = build_network(config, of_kinds(text={"length": 3, "vocabulary": ["a"]}))
    built.get_layer("text_words").set_weights([np.array([[9.0, 9], [1, 0], [3, 4]])])
    built.get_layer("output").set_weights([np.array([[1.0], [10]]), np.zeros(1)])
    nothing = [np.zeros((2, 0), np.float32), np.zeros((2, 0), np.int32)]
    assert built([*nothing, np.array([[2, 1, 0], [0, 0, 0]], np.int32)]).numpy().tolist() == [22, 0]


@pytest.mark.parametrize("wrong", [{"activation": "rellu"}, {"initializer": "hee"}])
def test_unknown_names_are_exit_2(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"train\.network: Keras knows no activation .* or no initializer"):
        build_network(Network(**wrong), spec_of_sizes(2))


def test_hidden_layers_are_normalised_before_their_activation() -> None:
    built = build_network(Network(hidden=(5, 3), batch_norm=True, dropout=0.5), spec_of_sizes(4))
    kinds = [type(layer).__name__ for layer in built.layers if layer.name != "numbers"]
    assert kinds[kinds.index("Dense") :][:4] == ["Dense", "BatchNorm", "Activation", "Dropout"]
    # 4 * 5 and 5 * 3 without biases, four vectors for each layer, 3 * 1 + 1.
    assert built.count_params() == 20 + 20 + 15 + 12 + 4


@pytest.mark.parametrize("outputs", [None, 3])
def test_a_linear_path_runs_beside_the_deep_one(outputs: int | None) -> None:
    spec = spec_of_sizes(2, 5)
    keras.utils.set_random_seed(2)
    built, deep = (build_network(Network(hidden=(4,), wide=wide), spec, outputs) for wide in (True, False))
    width = outputs or 1
    assert built.count_params() - deep.count_params() == 2 * width + 5 * width
    numbers, ids = np.array([[1, 2], [3, 4], [0, 0]], np.float32), np.array([[0], [4], [2]], np.int32)
    linear, by_id = np.arange(2 * width).reshape(2, width) / 10, np.arange(5 * width).reshape(5, width) - 2.0
    built.get_layer("wide_numbers").set_weights([linear])
    built.get_layer("wide_0").set_weights([by_id])
    for name in ("embedding_0", "hidden_0", "output"):
        deep.get_layer(name).set_weights(built.get_layer(name).get_weights())
    expected = deep([numbers, ids]).numpy() + (numbers @ linear + by_id[ids[:, 0]]).reshape(deep([numbers, ids]).shape)
    np.testing.assert_allclose(built([numbers, ids]), expected, rtol=1e-5, atol=1e-6)


def test_weights_may_begin_uniform() -> None:
    config = Network.model_validate({"hidden": [64, 32], "initializer": {"uniform": 0.05}})
    built = build_network(config, spec_of_sizes(10))
    assert built.count_params() == 10 * 64 + 64 + 64 * 32 + 32 + 32 + 1
    first = built.get_layer("hidden_0").get_weights()[0]
    assert 0.04 < np.abs(first).max() <= 0.05
    assert np.abs(first.mean()) < 0.005
    assert not np.allclose(built.get_layer("hidden_1").get_weights()[0][:10, :], first[:, :32])


def perceptron(inputs: dict[str, keras.KerasTensor], config: Network) -> keras.Model:
    """Three dense layers over ten numbers, as wide as the options say."""
    value = inputs["numbers"]
    for units in config.options["widths"]:
        begin = keras.initializers.RandomUniform(-0.05, 0.05)
        value = keras.layers.Dense(units, activation=config.activation, kernel_initializer=begin)(value)
    return keras.Model(inputs, keras.layers.Dense(config.options.get("outputs", 1))(value))


def no_model(inputs: dict[str, keras.KerasTensor], config: Network) -> keras.KerasTensor:
    """An output alone."""
    return keras.layers.Dense(1)(inputs["numbers"])


def own_inputs(inputs: dict[str, keras.KerasTensor], config: Network) -> keras.Model:
    """A model of another input."""
    own = keras.Input((10,), name="own")
    return keras.Model(own, keras.layers.Dense(1)(own))


def own_batch_norm(inputs: dict[str, keras.KerasTensor], config: Network) -> keras.Model:
    """A model that normalises rank by rank."""
    value = keras.layers.BatchNormalization(name="alone")(inputs["numbers"])
    return keras.Model(inputs["numbers"], keras.layers.Dense(1)(value))


def test_a_function_may_build_the_network() -> None:
    config = Network.model_validate({"build": f"{__name__}:perceptron", "options": {"widths": [64, 32]}})
    built = build_network(config, spec_of_sizes(10, 4))
    assert built.count_params() == 10 * 64 + 64 + 64 * 32 + 32 + 32 + 1
    assert built([np.zeros((7, 10), np.float32), np.zeros((7, 1), np.int32)]).shape == (7,)
    assert [value.name for value in built.inputs] == ["numbers", "ids"]


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("no_model", {}, r"gave KerasTensor; expected a keras\.Model"),
        ("own_inputs", {}, r"has inputs of its own: own; expected those that it was given: numbers, ids"),
        ("perceptron", {"widths": [3], "outputs": 2}, r"gives outputs of shape \(None, 2\); expected \(None,\)"),
        ("own_batch_norm", {}, r"has a BatchNormalization, .*: alone; expected pipelines\.training\.batch_norm\.BatchNorm"),
        ("nothing", {}, r"train\.network\.build: cannot load"),
    ],
)
def test_a_function_whose_network_does_not_fit_is_exit_2(function: str, options: dict[str, object], message: str) -> None:
    config = Network.model_validate({"build": f"{__name__}:{function}", "options": options})
    with pytest.raises(ConfigError, match=message):
        build_network(config, spec_of_sizes(10))


@pytest.mark.parametrize("more", [{"batch_norm": True}, {"wide": True}, {"initializer": {"uniform": 0.1}}])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_what_networks_have_is_exported_with_them(tmp_path: Path, more: dict[str, Any], precision: str) -> None:
    built = build_network(Network.model_validate({"hidden": [4], **more}), SPEC, None, precision)
    assert built.output.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    export(built, SPEC, BinaryHead(), {"run_id": "r", "task": {"kind": "binary"}}, str(tmp_path / "m"))
    model = keras.models.load_model(tmp_path / "m" / "model.keras")
    types = {"place": tf.string}
    scores = model({name: tf.constant(value, types.get(name, tf.float64)) for name, value in raw_values().items()})
    np.testing.assert_allclose(scores, Bundle(str(tmp_path / "m")).score(raw_values()), rtol=0, atol=1e-6)
