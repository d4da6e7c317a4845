"""The trained model as files: Keras format and SavedModel, each with its preprocessing inside. Never a pickle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pipelines.fitted import FittedSpec
from pipelines.storage import publish_folder
from pipelines.training.job import Sample
from pipelines.training.models import build_preprocessing, build_scorer
from pipelines.training.parity import Parity, check_parity

KERAS_FILE, SAVED_MODEL, MANIFEST = "model.keras", "saved_model", "manifest.json"


def export(
    network: keras.Model, spec: FittedSpec, manifest: dict[str, Any], uri: str, samples: Sequence[Sample] = ()
) -> Parity:
    """Write the model's folder to a path or URI, whole or not at all, once it makes the same features of `samples` as Spark.

    The SavedModel has three endpoints: `serve` takes raw values by feature name, `score_features` takes the features
    table's numbers and ids, and both give probabilities; `features` gives numbers and ids of raw values. Raises QualityError
    when they are not Spark's.
    """
    preprocessing = build_preprocessing(spec)
    scorer = build_scorer(network, preprocessing)
    with tempfile.TemporaryDirectory() as folder:
        scorer.save(Path(folder) / KERAS_FILE)
        _archive(scorer, preprocessing, network, spec).write_out(str(Path(folder) / SAVED_MODEL), verbose=False)
        parity = check_parity(Path(folder) / SAVED_MODEL, spec, samples)
        content = {
            **manifest,
            "parity": parity._asdict(),
            "fingerprint": spec.fingerprint,
            "features": spec.model_dump(mode="json")["features"],
        }
        (Path(folder) / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
        publish_folder(Path(folder), uri)
    return parity


def _archive(
    scorer: keras.Model, preprocessing: keras.Model, network: keras.Model, spec: FittedSpec
) -> keras.export.ExportArchive:
    archive = keras.export.ExportArchive()
    archive.track(scorer)
    raw = {name: tf.TensorSpec((None,), tf.as_dtype(kind), name=name) for name, kind in spec.inputs.items()}
    archive.add_endpoint("serve", lambda values: scorer(values, training=False), input_signature=[raw])
    archive.add_endpoint(
        "features", lambda values: dict(zip(("numbers", "ids"), preprocessing(values), strict=True)), input_signature=[raw]
    )
    archive.add_endpoint(
        "score_features",
        lambda numbers, ids: tf.sigmoid(network([numbers, ids], training=False)),
        input_signature=[
            tf.TensorSpec((None, len(spec.numbers)), tf.float32, name="numbers"),
            tf.TensorSpec((None, len(spec.ids)), tf.int32, name="ids"),
        ],
    )
    return archive
