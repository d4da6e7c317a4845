"""A transformed and clipped label in every form in which a model is exported, by arithmetic done with NumPy."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from pipelines.config import Regression
from pipelines.features.fitted import FittedLabel, FittedNumeric, FittedSpec
from pipelines.serving.bundle import Bundle
from pipelines.training.export import export
from pipelines.training.job import Sample
from pipelines.training.open_format import Runtime
from pipelines.training.tasks import head_of

X = FittedNumeric(name="x", fill=0.0, clip=None, log1p=False, offset=1.0, scale=2.0)
LABEL = FittedLabel(offset=1.5, scale=0.5, transform="log1p", clip=True, minimum=0.25, maximum=50.0)
VALUES = [-40.0, -5.0, -1.0, 0.0, 1.0, 2.5, 7.0, 400.0]


@pytest.mark.parametrize("horizon", [None, 2])
def test_every_exported_form_gives_clipped_numbers_in_the_labels_unit(tmp_path: Path, horizon: int | None) -> None:
    spec, task = FittedSpec(features=(X,), label=LABEL), Regression(kind="regression", transform="log1p", clip=True)
    kernel = np.array([[1.25]] if horizon is None else [[1.25, -0.5]], np.float32)
    inputs = keras.Input((1,), name="numbers"), keras.Input((0,), dtype="int32", name="ids")
    layer = keras.layers.Dense(kernel.shape[1], use_bias=False)
    output = layer(inputs[0])
    layer.set_weights([kernel])
    network = keras.Model(list(inputs), keras.ops.squeeze(output, -1) if horizon is None else output)
    scaled = (np.array(VALUES) - X.offset) / X.scale
    samples = [Sample(raw={"x": raw}, features={"x": feature}) for raw, feature in zip(VALUES, scaled, strict=True)]
    manifest = {"task": task.model_dump(mode="json")}

    exported = export(network, spec, head_of(task, spec, horizon), manifest, str(tmp_path / "m"), samples)

    outputs = scaled if horizon is None else scaled[:, None]
    expected = np.clip(np.expm1(outputs * kernel[0] * LABEL.scale + LABEL.offset), 0.25, 50)
    assert {expected.min(), expected.max()} == {0.25, 50}
    assert len(np.unique(expected)) > 5
    raw = {"x": np.array(VALUES)}
    bundle = Bundle(str(tmp_path / "m"))
    whole = keras.models.load_model(tmp_path / "m" / "model.keras")
    batch = pa.RecordBatch.from_pydict({"x": pa.array(scaled, pa.float32())})
    by_form = {
        "model.keras": whole({name: tf.constant(value) for name, value in raw.items()}).numpy(),
        "the SavedModel": bundle.score(raw),
        "score_features": bundle.score_features(batch),
        "ONNX": Runtime((tmp_path / "m" / "model.onnx").read_bytes())(raw)["output"],
    }
    for form, values in by_form.items():
        np.testing.assert_allclose(values, expected, rtol=2e-6, err_msg=form)
        assert (values.min(), values.max()) == (0.25, 50), form
    assert exported.onnx.missing is None
    written = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert bundle.spec.label == LABEL
    assert (written["task"]["transform"], written["task"]["clip"]) == ("log1p", True)
