"""The trained model as files: Keras format and SavedModel, each with its preprocessing inside. Never a pickle."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pipelines.fitted import FittedCategorical, FittedSpec
from pipelines.storage import publish_folder
from pipelines.training.models import build_scorer

KERAS_FILE, SAVED_MODEL, MANIFEST = "model.keras", "saved_model", "manifest.json"


def export(network: keras.Model, spec: FittedSpec, manifest: dict[str, Any], uri: str) -> None:
    """Write the model's folder to a path or URI, whole or not at all.

    The SavedModel has two endpoints: `serve` takes raw values by feature name, `score_features` takes the features
    table's numbers and ids; both give probabilities.
    """
    scorer = build_scorer(network, spec)
    with tempfile.TemporaryDirectory() as folder:
        scorer.save(Path(folder) / KERAS_FILE)
        _archive(scorer, network, spec).write_out(str(Path(folder) / SAVED_MODEL), verbose=False)
        content = {**manifest, "fingerprint": spec.fingerprint, "features": spec.model_dump(mode="json")["features"]}
        (Path(folder) / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
        publish_folder(Path(folder), uri)


def _archive(scorer: keras.Model, network: keras.Model, spec: FittedSpec) -> keras.export.ExportArchive:
    archive = keras.export.ExportArchive()
    archive.track(scorer)
    raw = {
        feature.name: tf.TensorSpec(
            (None,), tf.string if isinstance(feature, FittedCategorical) else tf.float64, name=feature.name
        )
        for feature in spec.features
    }
    archive.add_endpoint("serve", lambda values: scorer(values, training=False), input_signature=[raw])
    archive.add_endpoint(
        "score_features",
        lambda numbers, ids: tf.sigmoid(network([numbers, ids], training=False)),
        input_signature=[
            tf.TensorSpec((None, len(spec.numbers)), tf.float32, name="numbers"),
            tf.TensorSpec((None, len(spec.words)), tf.int32, name="ids"),
        ],
    )
    return archive
