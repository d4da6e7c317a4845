"""The parity gate: Spark and the exported model make the same features of any raw row, or there is no model."""

import base64
import io
import json
import math
import re
import zlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.config import Network
from pipelines.errors import QualityError
from pipelines.features.fitted import (
    FittedBucketized,
    FittedCategorical,
    FittedChannel,
    FittedCrossed,
    FittedCyclic,
    FittedHashed,
    FittedImage,
    FittedNumeric,
    FittedOrdinal,
    FittedSpec,
    FittedTarget,
    FittedText,
    FittedTime,
)
from pipelines.features.prepared import Preparation
from pipelines.features.transform import transform
from pipelines.training.export import export
from pipelines.training.job import Sample
from pipelines.training.networks import build_network
from pipelines.training.open_format import OnnxModels, Runtime, to_onnx, to_prepared_onnx
from pipelines.training.parity import Compute, SavedModel, check_parity, raw_values
from pipelines.training.preprocessing import build_preprocessing
from pipelines.training.tasks import BinaryHead, MulticlassHead

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
        FittedTime(
            name="moment", parts=("hour", "weekday", "month"), zone="America/New_York", encode="cyclic",
            holidays=(date(2013, 7, 4), date(1970, 1, 1)),
        ),
        FittedTime(name="then", parts=("month", "hour", "weekday"), zone="Asia/Kathmandu", encode="ids"),
        FittedTarget(
            name="of_label", vocabulary=("a", "東京"), prior=0.1, deviation=0.5, means=(0.7, 1 / 3),
            out_of_fold=((0.1, 0.2),) * 2, priors_out_of_fold=(0.5, 0.5),
        ),
        FittedHashed(name="hashed", buckets=7),
        FittedChannel(
            name="past_x", sequence="past", of="x", length=3, fill=1.5, clip=(-5, 5), log1p=False, offset=0.25, scale=1.75
        ),
        FittedChannel(name="past_y", sequence="past", of="y", length=3, fill=0, clip=None, log1p=True, offset=0, scale=2),
        FittedImage(name="picture", height=3, width=4, channels=3, divide_by=255),
        FittedText(name="review", length=4, vocabulary=("good", "don't", "é", "東京", "ß")),
        FittedText(name="comment", length=3, buckets=11),
    )
)  # fmt: skip
EXPRESSIBLE = FittedSpec(
    features=tuple(each for each in SPEC.features if not isinstance(each, FittedHashed | FittedImage | FittedText))
)
# One feature or two of a kind, where a whole model is exported for what lies behind its preprocessing.
FEW = ("plain", "bent", "rank", "word", "both")
SHORT, WITH_STEPS, WITH_TEXTS = (
    FittedSpec(features=tuple(each for each in SPEC.features if each.name in {*FEW, *more}))
    for more in ((), ("past_x", "past_y"), ("review", "comment"))
)
WORDS = ("word", "rank", "never")
MORE = {
    "moment": "timestamp", "then": "timestamp", "of_label": "string", "hashed": "string", "past_x": "array<double>",
    "past_y": "array<double>", "picture": "string", "review": "string", "comment": "string",
}  # fmt: skip
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
# Before 1883 Java and Python take other offsets of a zone for granted.
MOMENT = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 30))
STEPS = st.lists(st.none() | st.floats(-0.9, 1e6, allow_subnormal=False), min_size=3, max_size=3)
# Letters that Unicode has had for long: engines know the lower case of new ones or they do not.
SAID = st.none() | st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn"]) | st.sampled_from("東京’"))
PROSE = st.lists(SAID | st.sampled_from(["GOOD", "good", "don't", "É", "ẞ", "İ", "ΣΑΣ"]), max_size=8).map(
    lambda words: " ".join(word or "" for word in words)
)


def png(mode: str, size: tuple[int, int], content: bytes) -> str:
    """A PNG as base64."""
    buffer = io.BytesIO()
    Image.frombytes(mode, size, content).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@st.composite
def pictures(draw: st.DrawFn) -> str:
    """A PNG of any small size and mode, as base64."""
    mode = draw(st.sampled_from(["L", "RGB", "RGBA", "LA"]))
    width, height = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    size = width * height * len(mode)
    return png(mode, (width, height), draw(st.binary(min_size=size, max_size=size)))


ROW = st.tuples(
    NUMBER, NUMBER, ANGLE, NUMBER, WORD, RANK, TEXT, MOMENT, MOMENT, WORD, WORD, STEPS, STEPS, pictures(), PROSE, PROSE
)
PICTURE = png("L", (2, 1), bytes([7, 200]))
ONE = (
    datetime(2013, 7, 4, 12),
    None,
    "a",
    "b",
    [1.0, None, 3.0],
    [0.0, 1.0, 2.0],
    PICTURE,
    "Good, don't!",
    "one two three four",
)


def network(spec: FittedSpec = SPEC, outputs: int | None = None, **options: Any) -> keras.Model:
    """A small network that takes a spec's features."""
    return build_network(Network.model_validate({"hidden": [2], "image": {"filters": [2]}, **options}), spec, outputs)


class Gamma(keras.Layer):  # type: ignore[misc] # Keras has no types
    """What ONNX has no operator for."""

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """The incomplete gamma function."""
        return tf.math.igamma(1.0, tf.abs(values))


def gamma(spec: FittedSpec) -> keras.Model:
    """A network that ONNX can't express."""
    inner = network(spec)
    return keras.Model(inner.inputs, Gamma()(inner.output))


@pytest.fixture(scope="module")
def onnx() -> OnnxModels:
    """All that ONNX has operators for."""
    return to_onnx(network(EXPRESSIBLE), EXPRESSIBLE, BinaryHead())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported SavedModel."""
    uri = str(tmp_path_factory.mktemp("models") / "m")
    export(network(), SPEC, BinaryHead(), {}, uri)
    return Path(uri) / "saved_model"


@pytest.fixture(scope="module")
def routes(saved: Path, onnx: OnnxModels) -> list[tuple[Compute, FittedSpec]]:
    """All that makes features of raw values beside Spark, loaded once, each with the features that it has."""
    return [(SavedModel(saved).features, SPEC), (Runtime(onnx.features), EXPRESSIBLE), (Preparation(SPEC), SPEC)]


def samples(spark: SparkSession, rows: list[tuple[Any, ...]]) -> list[Sample]:
    """Raw rows, and the features that Spark makes of them; those that it refuses are left out."""
    more = (f"{name} {type_}" for name, type_ in MORE.items())
    schema = ", ".join(["key int", *(f"{name} double" for name in FLOATS), *(f"{name} string" for name in WORDS), *more])
    raw = spark.createDataFrame([(key, *row) for key, row in enumerate(rows)], schema)
    transformed = transform(raw, SPEC, ("key",)).rows
    columns = F.to_json(F.struct(*SPEC.columns))
    by_key = {row.key: row.features for row in transformed.select("key", columns.alias("features")).collect()}
    names = (*FLOATS, *WORDS, *MORE)
    return [
        Sample(raw={name: as_taken(value) for name, value in zip(names, rows[key], strict=True)}, features=json.loads(features))
        for key, features in by_key.items()
    ]


def as_taken(value: Any) -> Any:
    """A raw value as a model takes it."""
    return value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else value


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=8, max_size=24))
def test_any_row_becomes_the_same_features(
    spark: SparkSession, routes: list[tuple[Compute, FittedSpec]], rows: list[tuple[Any, ...]]
) -> None:
    sampled = samples(spark, rows)
    assume(sampled)  # some are refused: what is no finite float32
    for compute, spec in routes:
        assert check_parity(compute, spec, sampled).difference <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "spec"), [("lstm", EXPRESSIBLE), ("gru", WITH_STEPS)], ids=["lstm", "gru"])
def test_scores_are_the_same_in_onnx(spark: SparkSession, tmp_path: Path, cell: str, spec: FittedSpec) -> None:
    keras.utils.set_random_seed(5)
    model = network(
        spec, 3, hidden=[5], activation="tanh", batch_norm=True, wide=True, sequence={"cell": cell, "units": [3, 2]}
    )
    rows = samples(spark, [(float(n), n / 7, n * 3.0, 0.05, word, "low", "", *ONE) for n, word in enumerate(("a", "é", None))])
    onnx_parity = export(model, spec, MulticlassHead(3), {}, str(tmp_path / "m"), rows).onnx
    assert onnx_parity.missing is None
    assert onnx_parity.features == pytest.approx(0, abs=1e-6)
    assert onnx_parity.scores == pytest.approx(0, abs=1e-6)
    values = raw_values(spec, [row.raw for row in rows])
    scores = Runtime((tmp_path / "m" / "model.onnx").read_bytes())(values)["output"]
    assert scores.shape == (3, 3)
    assert len(np.unique(scores)) == 9
    np.testing.assert_allclose(scores, SavedModel(tmp_path / "m" / "saved_model").scores(values), rtol=0, atol=1e-6)


def check_prepared(spark: SparkSession, folder: Path, spec: FittedSpec, pooling: str) -> tuple[str | None, dict[str, Any]]:
    """Export a network over texts and compare the scores of its ONNX graph, which takes prepared inputs, with the SavedModel's;
    why it takes them, and the manifest.
    """
    keras.utils.set_random_seed(5)
    options: dict[str, Any] = {"image": {"filters": [3, 2], "pool": 1}, "text": {"pooling": pooling, "units": 3}}
    model = network(spec, 3, hidden=[5], activation="tanh", batch_norm=True, wide=True, **options)
    rows = samples(spark, [(float(n), n / 7, n * 3.0, 0.05, word, "low", "", *ONE) for n, word in enumerate(("a", "é", None))])
    onnx_parity = export(model, spec, MulticlassHead(3), {}, str(folder / "m"), rows).onnx
    assert onnx_parity.missing is None
    assert onnx_parity.features == pytest.approx(0, abs=1e-6)
    assert onnx_parity.scores == pytest.approx(0, abs=1e-6)
    runtime, values = Runtime((folder / "m" / "model.onnx").read_bytes()), raw_values(spec, [row.raw for row in rows])
    assert sorted(runtime.inputs) == sorted(spec.input_names)
    scores = runtime(Preparation(spec)(values))["output"]
    assert len(np.unique(scores)) == 9
    np.testing.assert_allclose(scores, SavedModel(folder / "m" / "saved_model").scores(values), rtol=0, atol=1e-6)
    manifest = json.loads((folder / "m" / "manifest.json").read_text())
    assert manifest["format"] == 2
    return onnx_parity.prepared, manifest


@pytest.mark.slow
def test_a_graph_of_prepared_inputs_scores_as_the_saved_model_does(spark: SparkSession, tmp_path: Path) -> None:
    reason, manifest = check_prepared(spark, tmp_path, SPEC, "mean")
    assert reason == "ONNX has no operators for what is made of the text of hashed"
    assert [(each["name"], each["datatype"], each["shape"]) for each in manifest["prepared_inputs"]] == [
        ("numbers", "FP32", [len(SPEC.numbers)]), ("ids", "INT32", [len(SPEC.ids)]), ("past", "FP32", [3, 2]),
        ("picture", "FP32", [3, 4, 3]), ("review", "INT32", [4]), ("comment", "INT32", [3]),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["max", "lstm", "gru"])
def test_texts_are_pooled_in_a_graph_of_prepared_inputs_as_in_the_saved_model(
    spark: SparkSession, tmp_path: Path, pooling: str
) -> None:
    reason, manifest = check_prepared(spark, tmp_path, WITH_TEXTS, pooling)
    assert reason == "ONNX has no operators for what is made of the text of review"
    assert [(each["name"], each["shape"]) for each in manifest["prepared_inputs"]] == [
        ("numbers", [len(WITH_TEXTS.numbers)]), ("ids", [len(WITH_TEXTS.ids)]), ("review", [4]), ("comment", [3]),
    ]  # fmt: skip


@pytest.mark.parametrize("filters", [[2], [4, 3]])
def test_a_convolution_is_the_same_in_a_graph_of_prepared_inputs(filters: list[int]) -> None:
    keras.utils.set_random_seed(7)
    spec = FittedSpec(features=tuple(each for each in SPEC.features if isinstance(each, FittedImage)))
    model = network(spec, 2, image={"filters": filters, "pool": 1, "kernel": 2})
    pixels = np.random.default_rng(7).random((5, 3, 4, 3), np.float32)
    runtime = Runtime(to_prepared_onnx(model, spec, MulticlassHead(2)))
    assert runtime.inputs == ["picture"]  # there are no numbers and no ids
    expected = keras.ops.softmax(model([np.empty((5, 0)), np.empty((5, 0)), pixels])).numpy()
    np.testing.assert_allclose(runtime({"picture": pixels})["output"], expected, rtol=0, atol=1e-6)
    assert expected.std(axis=0).min() > 0


@pytest.mark.slow
def test_the_network_alone_scores_features_as_the_whole_model_does() -> None:
    keras.utils.set_random_seed(5)
    model = network(WITH_STEPS, 3, hidden=[5], wide=True, sequence={"cell": "gru", "units": [3]})
    onnx = to_onnx(model, WITH_STEPS, MulticlassHead(3))
    generator = np.random.default_rng(5)
    raw = {
        name: np.array(["a", "é", "", "never seen"], object) if kind.dtype == "string" else generator.random((4, *kind.shape))
        for name, kind in WITH_STEPS.inputs.items()
    }
    computed = Runtime(onnx.features)(raw)
    assert onnx.network
    scores = Runtime(onnx.network)({name: computed[name] for name in WITH_STEPS.input_names})["output"]
    np.testing.assert_array_equal(scores, computed["output"])
    assert scores.std() > 0


@pytest.mark.slow
def test_onnx_that_computes_otherwise_is_not_published(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = samples(spark, [(0.5, 1.0, 2.0, 0.05, "é", "low", "", *ONE)])
    keras.utils.set_random_seed(5)
    right = to_onnx(network(SHORT, activation="tanh"), SHORT, BinaryHead())
    monkeypatch.setattr("pipelines.training.open_format.to_onnx", lambda *_: right)
    other = network(SHORT, activation="tanh")
    with pytest.raises(QualityError, match="the ONNX model gives other scores than the SavedModel") as caught:
        export(other, SHORT, BinaryHead(), {}, str(tmp_path / "m"), rows)
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_preparation_that_computes_otherwise_is_not_published(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = samples(spark, [(0.5, 1.0, 2.0, 0.05, "é", "low", "", *ONE)])
    keras.utils.set_random_seed(5)
    right = to_prepared_onnx(network(WITH_TEXTS, activation="tanh"), WITH_TEXTS, BinaryHead())
    other = network(WITH_TEXTS, activation="tanh")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.training.open_format.to_prepared_onnx", lambda *_: right)
        with pytest.raises(QualityError, match="the prepared ONNX model gives other scores than the SavedModel"):
            export(other, WITH_TEXTS, BinaryHead(), {}, str(tmp_path / "m"), rows)
    fewer = tuple(each.model_copy(update={"buckets": 5}) if each.name == "comment" else each for each in WITH_TEXTS.features)
    other_preparation = Preparation(FittedSpec(features=fewer))
    monkeypatch.setattr("pipelines.training.open_export.Preparation", lambda _: other_preparation)
    with pytest.raises(QualityError, match=r"the prepared ONNX model's own preprocessing .*comment: Spark"):
        export(other, WITH_TEXTS, BinaryHead(), {}, str(tmp_path / "m"), rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("spec", [WITH_TEXTS, SHORT], ids=["prepared", "raw"])
def test_what_onnx_has_no_operator_for_is_reported_and_the_rest_published(tmp_path: Path, spec: FittedSpec) -> None:
    onnx_parity = export(gamma(spec), spec, BinaryHead(), {}, str(tmp_path / "m")).onnx
    assert re.search("tf2onnx can't convert it.*Igamma", onnx_parity.missing or "")
    assert not (tmp_path / "m" / "model.onnx").exists()
    assert (tmp_path / "m" / "saved_model").is_dir()
    assert json.loads((tmp_path / "m" / "manifest.json").read_text())["onnx"]["missing"] == onnx_parity.missing


@pytest.mark.slow
def test_what_a_model_makes_otherwise_is_named_and_nothing_is_published(spark: SparkSession, tmp_path: Path) -> None:
    right = samples(
        spark, [(1.0, 2.0, 3.0, 0.05, "a", "low", "x", *ONE), (*(None,) * 11, [None] * 3, [None] * 3, PICTURE, None, None)]
    )
    wrong = [right[0].model_copy(update={"features": {**right[0].features, "bent": 9.0, "word": 4.0}}), right[1]]
    with pytest.raises(QualityError, match=r"in 2 values.*bent: Spark 9, model -1\.3.*word: Spark 4, model 1") as caught:
        export(network(SHORT), SHORT, BinaryHead(), {}, str(tmp_path / "m"), wrong)
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []
    parity = export(network(SHORT), SHORT, BinaryHead(), {}, str(tmp_path / "m"), right).parity
    assert json.loads((tmp_path / "m" / "manifest.json").read_text())["parity"]["rows"] == parity.rows == 2


@pytest.mark.slow
def test_the_served_graph_gives_features_and_scores(spark: SparkSession, saved: Path) -> None:
    model = tf.saved_model.load(str(saved))
    rows = samples(spark, [(0.5, 1.0, 2.0, 0.05, "é", "low", "", *ONE)])
    values = raw_values(SPEC, [row.raw for row in rows])
    raw = {name: tf.constant(value, SPEC.inputs[name].dtype) for name, value in values.items()}
    np.testing.assert_array_equal(model.score_features(model.features(raw)), model.serve(raw))


def test_a_few_by_hand(spark: SparkSession) -> None:
    features = samples(spark, [(0.5, 1.0, 2.0, 0.05, "é", "low", "", *ONE)])[0].features
    assert features["moment_holiday"] == 1
    assert (features["moment_hour_sin"], features["moment_hour_cos"]) == pytest.approx(
        (math.sin(math.pi * 8 / 12), math.cos(math.pi * 8 / 12))
    )
    assert (features["then_month"], features["then_hour"], features["then_weekday"]) == (0, 0, 0)
    assert features["of_label"] == pytest.approx((0.7 - 0.1) / 0.5)
    assert features["hashed"] == 1 + zlib.crc32(b"b") % 7
    assert features["past_x"] == pytest.approx([(1 - 0.25) / 1.75, (1.5 - 0.25) / 1.75, (3 - 0.25) / 1.75])
    assert features["review"] == [2, 3, 0, 0]
    assert features["comment"] == [1 + zlib.crc32(word) % 11 for word in (b"one", b"two", b"three")]


def test_what_only_rows_beyond_the_samples_show_is_seen_on_generated_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clipped = FittedNumeric(name="x", fill=0, clip=(0, 10), log1p=False, offset=0, scale=2)
    spec = FittedSpec(features=(clipped, FittedCategorical(name="w", vocabulary=("a", "b"))))
    rows = [
        Sample(raw={"x": 1.0, "w": "a"}, features={"x": 0.5, "w": 1}),
        Sample(raw={"x": 9.0, "w": None}, features={"x": 4.5, "w": 0}),
    ]
    parity = export(network(spec), spec, BinaryHead(), {}, str(tmp_path / "m"), rows).parity
    assert (parity.rows, parity.generated) == (2, 256)
    unbounded = FittedSpec(features=(clipped.model_copy(update={"clip": None}), spec.features[1]))
    monkeypatch.setattr("pipelines.training.export.build_preprocessing", lambda _: build_preprocessing(unbounded))
    with pytest.raises(QualityError, match=r"x: Spark 5, model (5\.|6)\d*, of raw"):
        export(network(spec), spec, BinaryHead(), {}, str(tmp_path / "other"), rows)
