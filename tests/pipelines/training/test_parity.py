"""The parity gate: Spark and the exported model make the same features of any raw row, or there is no model."""

import base64
import io
import json
import math
import zlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines.config import Network
from pipelines.errors import QualityError
from pipelines.fitted import (
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
from pipelines.stages.feature_transform import transform
from pipelines.training.export import export
from pipelines.training.job import Sample
from pipelines.training.networks import build_network
from pipelines.training.parity import check_parity, raw_tensor
from pipelines.training.tasks import BinaryHead

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


def network() -> keras.Model:
    """A small network that takes SPEC's features."""
    return build_network(Network.model_validate({"hidden": [2], "image": {"filters": [2]}}), SPEC)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported SavedModel."""
    uri = str(tmp_path_factory.mktemp("models") / "m")
    export(network(), SPEC, BinaryHead(), {}, uri)
    return Path(uri) / "saved_model"


def samples(spark: SparkSession, rows: list[tuple[Any, ...]]) -> list[Sample]:
    """Raw rows, and the features that Spark makes of them; those that it refuses are left out."""
    more = (f"{name} {type_}" for name, type_ in MORE.items())
    schema = ", ".join(["key int", *(f"{name} double" for name in FLOATS), *(f"{name} string" for name in WORDS), *more])
    raw = spark.createDataFrame([(key, *row) for key, row in enumerate(rows)], schema)
    made = transform(raw, SPEC, ("key",)).rows
    columns = F.to_json(F.struct(*SPEC.columns))
    found = {row.key: row.features for row in made.select("key", columns.alias("features")).collect()}
    names = (*FLOATS, *WORDS, *MORE)
    return [
        Sample(raw={name: as_taken(value) for name, value in zip(names, rows[key], strict=True)}, features=json.loads(features))
        for key, features in found.items()
    ]


def as_taken(value: Any) -> Any:
    """A raw value as a model takes it."""
    return value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=8, max_size=24))
def test_any_row_becomes_the_same_features(spark: SparkSession, saved: Path, rows: list[tuple[Any, ...]]) -> None:
    found = check_parity(saved, SPEC, samples(spark, rows))
    assert found.difference <= 1e-6


def test_what_a_model_makes_otherwise_is_named_and_nothing_is_published(spark: SparkSession, tmp_path: Path) -> None:
    right = samples(
        spark, [(1.0, 2.0, 3.0, 0.05, "a", "low", "x", *ONE), (*(None,) * 11, [None] * 3, [None] * 3, PICTURE, None, None)]
    )
    wrong = [right[0].model_copy(update={"features": {**right[0].features, "bent": 9.0, "word": 4.0}}), right[1]]
    with pytest.raises(QualityError, match=r"in 2 values.*bent: Spark 9, model -1\.3.*word: Spark 4, model 1") as caught:
        export(network(), SPEC, BinaryHead(), {}, str(tmp_path / "m"), wrong)
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []
    parity = export(network(), SPEC, BinaryHead(), {}, str(tmp_path / "m"), right)
    assert json.loads((tmp_path / "m" / "manifest.json").read_text())["parity"]["rows"] == parity.rows == 2


def test_the_served_graph_gives_features_and_scores(spark: SparkSession, saved: Path) -> None:
    model = tf.saved_model.load(str(saved))
    rows = samples(spark, [(0.5, 1.0, 2.0, 0.05, "é", "low", "", *ONE)])
    raw = {name: raw_tensor(kind, [row.raw[name] for row in rows]) for name, kind in SPEC.inputs.items()}
    np.testing.assert_array_equal(model.score_features(model.features(raw)), model.serve(raw))


def test_a_few_by_hand(spark: SparkSession) -> None:
    made = samples(spark, [(0.5, 1.0, 2.0, 0.05, "é", "low", "", *ONE)])[0].features
    assert made["moment_holiday"] == 1
    assert (made["moment_hour_sin"], made["moment_hour_cos"]) == pytest.approx(
        (math.sin(math.pi * 8 / 12), math.cos(math.pi * 8 / 12))
    )
    assert (made["then_month"], made["then_hour"], made["then_weekday"]) == (0, 0, 0)
    assert made["of_label"] == pytest.approx((0.7 - 0.1) / 0.5)
    assert made["hashed"] == 1 + zlib.crc32(b"b") % 7
    assert made["past_x"] == pytest.approx([(1 - 0.25) / 1.75, (1.5 - 0.25) / 1.75, (3 - 0.25) / 1.75])
    assert made["review"] == [2, 3, 0, 0]
    assert made["comment"] == [1 + zlib.crc32(word) % 11 for word in (b"one", b"two", b"three")]
