"""Models of images and texts: ONNX Runtime serves them after NumPy has prepared their inputs, without TensorFlow."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from PIL import Image

from pipelines.bundles.signature import PreparedInput
from pipelines.config import Network
from pipelines.errors import DataError
from pipelines.features.fitted import FittedImage, FittedNumeric, FittedSpec, FittedText
from pipelines.registry.digest import bundle_hash
from pipelines.serving.bundle import Bundle
from pipelines.serving.raw_batches import ScoringModel, score_raw_batches
from pipelines.serving.service import Service
from pipelines.serving.settings import Settings
from pipelines.serving.sources import PathSource
from tests.pipelines.older import drop_prepared_onnx
from tests.pipelines.serving.in_process import post
from tests.root import ROOT

IMAGE = FittedImage(name="image", height=8, width=8, channels=1, divide_by=255)
TEXT = FittedText(name="text", length=6, vocabulary=("good", "bad", "film"))
SIZE = FittedNumeric(name="size", fill=3, clip=None, log1p=False, offset=1, scale=2)
DIGITS, SENTIMENT = FittedSpec(features=(SIZE, IMAGE)), FittedSpec(features=(TEXT,))
TEXTS = ("A good film.", "bad, BAD film", "", "never seen")
ONCE = """
import asyncio, json, sys
import pyarrow as pa
from pipelines.serving.bundle import Bundle
from pipelines.serving.service import Service
from pipelines.serving.settings import Settings
from pipelines.serving.sources import PathSource
from tests.pipelines.serving.in_process import post

bodies, answers = json.loads(sys.argv[1]), []
for folder, body in bodies.items():
    service = Service(PathSource(folder), Settings())
    service.load_first()
    [(status, _, answer)] = asyncio.run(post(service, body))
    answers.append((service.model.runtime, status, answer["predictions"]))
unwanted = {"tensorflow", "keras", "pyspark", "pandas"} & set(sys.modules)
rows = pa.record_batch({"text": pa.array([[2, 4, 0, 0, 0, 0]], pa.list_(pa.int32()))})
features = Bundle.open(folder).score_features(rows).tolist()
unwanted |= {"tensorflow", "keras", "pyspark"} & set(sys.modules)  # PyArrow imports pandas to make an array
print(json.dumps([answers, features, sorted(unwanted)]))
"""


def png(seed: int, mode: str = "L") -> str:
    """An image of 8 by 8 pixels as base64."""
    levels = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).convert(mode).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def export_model(folder: Path, spec: FittedSpec, outputs: int | None, **options: Any) -> Path:
    """Publish a small network."""
    import keras

    from pipelines.training.export import export
    from pipelines.training.networks import build_network
    from pipelines.training.tasks import BinaryHead, MulticlassHead

    keras.utils.set_random_seed(4)
    network = build_network(Network.model_validate({"hidden": [8], **options}), spec, outputs)
    kind = {"kind": "multiclass", "classes": list("abc")} if outputs else {"kind": "binary", "classes": ["bad", "good"]}
    head = MulticlassHead(outputs) if outputs else BinaryHead()
    export(network, spec, head, {"task": kind, "pipeline": "m"}, str(folder))
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of an image and a number."""
    return export_model(tmp_path_factory.mktemp("models") / "digits", DIGITS, 3, image={"filters": [4, 4]})


@pytest.fixture(scope="module")
def sentiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a text."""
    return export_model(tmp_path_factory.mktemp("models") / "sentiment", SENTIMENT, None, text={"embedding_size": 4})


def image_rows(*seeds: int) -> dict[str, npt.NDArray[Any]]:
    """Rows of images, the first of which lacks its number."""
    sizes = np.arange(len(seeds), dtype=np.float64)
    sizes[0] = np.nan
    return {"size": sizes, "image": np.array([png(seed) for seed in seeds], object)}


def service_of(folder: Path) -> Service:
    """A service of a model in this process."""
    service = Service(PathSource(str(folder)), Settings())
    service.load_first()
    return service


def test_the_service_answers_for_images_and_texts_without_tensorflow(digits: Path, sentiment: Path) -> None:
    raw = image_rows(1, 2, 3)
    images = [{"size": size, "image": image} for size, image in zip((None, 1, 2), raw["image"], strict=True)]
    bodies = {str(digits): images, str(sentiment): [{"text": text or None} for text in TEXTS]}
    completed = subprocess.run(
        [sys.executable, "-c", ONCE, json.dumps(bodies)], cwd=ROOT, text=True, capture_output=True, check=True
    )
    [(runtime, *first), (_, *second)], features, unwanted = json.loads(completed.stdout.splitlines()[-1])
    assert unwanted == []
    assert runtime.startswith("ONNX Runtime") and "NumPy" in runtime
    assert (first[0], second[0]) == (200, 200)
    # By the SavedModel, in TensorFlow.
    probabilities = [[prediction["probabilities"][name] for name in "abc"] for prediction in first[1]]
    np.testing.assert_allclose(probabilities, Bundle.open(str(digits)).score(raw), rtol=0, atol=1e-6)
    expected = Bundle.open(str(sentiment)).score({"text": np.array([*TEXTS, "good film"], object)})
    np.testing.assert_allclose([prediction["probability"] for prediction in second[1]], expected[:-1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(features, expected[-1:], rtol=0, atol=1e-6)
    assert len(set(expected.tolist())) == 5


def test_the_folder_says_what_its_graph_takes_and_the_bundle_prepares_it(digits: Path) -> None:
    bundle = Bundle.open(str(digits))
    assert (bundle.manifest["format"], bundle.has_onnx) == (2, True)
    assert bundle.prepared_inputs == (
        PreparedInput(name="numbers", datatype="FP32", shape=(1,), columns=("size",)),
        PreparedInput(name="image", datatype="FP32", shape=(8, 8, 1), columns=("image",)),
    )
    assert "Its ONNX graph takes prepared inputs, which ringmill makes of raw values" in bundle.card["limits"][-1]
    prepared = bundle.prepare(image_rows(1, 2))
    assert {name: (array.dtype.name, array.shape) for name, array in prepared.items()} == {
        "numbers": ("float32", (2, 1)),
        "image": ("float32", (2, 8, 8, 1)),
    }
    assert prepared["numbers"].tolist() == [[1.0], [0.0]]  # (3 - 1) / 2, of the missing one, and (1 - 1) / 2
    pixels = np.random.default_rng(2).integers(0, 256, (8, 8), np.uint8) / 255
    np.testing.assert_allclose(prepared["image"][1, :, :, 0], pixels, rtol=0, atol=1e-6)


def test_a_folder_of_an_earlier_version_is_scored_by_tensorflow(digits: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(str(digits))
    older = Bundle.open(str(drop_prepared_onnx(Path(shutil.copytree(digits, tmp_path / "older")))))
    assert (older.prepared_inputs, older.has_onnx) == ((), False)
    assert older.scorer().runtime.startswith("TensorFlow")
    np.testing.assert_allclose(
        older.scorer().score(image_rows(1, 2)), bundle.scorer().score(image_rows(1, 2)), rtol=0, atol=1e-6
    )


def test_what_is_no_image_is_422_that_names_it_and_fails_its_own_request_alone(digits: Path) -> None:
    service = service_of(digits)
    good, bad = {"size": 1, "image": png(1)}, {"size": 1, "image": "bm8gcG5n"}
    whole, broken, several = asyncio.run(post(service, good, bad, [good, {"size": 2, "image": None}]))
    assert whole[0] == 200
    what = "the feature image can't be computed; expected finite numbers of it alone (of an image, a PNG as base64)."
    assert (broken[0], broken[2]) == (422, {"error": f"image: {what}"})
    assert (several[0], several[2]) == (422, {"error": f"image: row 1: {what}"})
    with pytest.raises(DataError, match=r"^image: row 1: the feature image"):
        Bundle.open(str(digits)).scorer().score({**image_rows(1, 2), "image": np.array([png(1), ""], object)})


def test_examples_of_images_are_scored_by_their_features_as_other_models_are(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = image_rows(1, 2, 3)
    expected = Bundle.open(str(digits)).score(raw)  # by the SavedModel
    monkeypatch.setattr("pipelines.serving.raw_batches.raw_arrays", None)  # so a scorer of raw values would fail,
    monkeypatch.setattr(Bundle, "_tensorflow", None)  # as would TensorFlow
    images = pa.array([*raw["image"], "no PNG", None])
    rows = pa.record_batch({"row_id": pa.array([1, 2, 3, 4, 5]), "size": pa.array([None, 1.0, 2.0, 3.0, 4.0]), "image": images})
    [scored] = score_raw_batches(iter([rows]), ScoringModel(str(digits), bundle_hash(str(digits))), ("row_id",))
    assert scored["row_id"].to_pylist() == [1, 2, 3]
    np.testing.assert_allclose(scored["predictions"].to_pylist(), expected, rtol=0, atol=1e-6)


def test_an_image_is_explained_by_the_other_inputs(digits: Path) -> None:
    [(status, _, explanation)] = asyncio.run(post(service_of(digits), {"size": 9, "image": png(1)}, path="/explain"))
    assert status == 200
    assert [each["name"] for each in explanation["effects"]] == ["size"]
    assert explanation["effects"][0]["effect"] != 0
