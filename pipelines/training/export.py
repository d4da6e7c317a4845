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
from pipelines.training.parity import Parity, check_parity
from pipelines.training.preprocessing import build_preprocessing, build_scorer
from pipelines.training.tasks import Head

KERAS_FILE, SAVED_MODEL, MANIFEST = "model.keras", "saved_model", "manifest.json"


def export(
    network: keras.Model, spec: FittedSpec, head: Head, manifest: dict[str, Any], uri: str, samples: Sequence[Sample] = ()
) -> Parity:
    """Write the model's folder to a path or URI, whole or not at all, once it makes the same features of `samples` as Spark.

    The SavedModel has three endpoints: `serve` takes raw values by feature name, `score_features` takes what the network
    takes (numbers, ids and tensors by name), and both give what the head's task is read as; `features` gives the network's
    inputs of raw values. Raises QualityError when they are not Spark's.
    """
    preprocessing = build_preprocessing(spec)
    scorer = build_scorer(network, preprocessing, head)
    with tempfile.TemporaryDirectory() as folder:
        scorer.save(Path(folder) / KERAS_FILE)
        archive = _archive(scorer, preprocessing, network, spec, head)
        archive.write_out(str(Path(folder) / SAVED_MODEL), verbose=False)
        parity = check_parity(Path(folder) / SAVED_MODEL, spec, samples)
        content = {
            **manifest,
            "parity": parity._asdict(),
            "fingerprint": spec.fingerprint,
            **spec.model_dump(mode="json"),
        }
        (Path(folder) / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
        publish_folder(Path(folder), uri)
    return parity


def _archive(
    scorer: keras.Model, preprocessing: keras.Model, network: keras.Model, spec: FittedSpec, head: Head
) -> keras.export.ExportArchive:
    archive = keras.export.ExportArchive()
    archive.track(scorer)
    raw = {name: tf.TensorSpec((None, *kind.shape), tf.as_dtype(kind.dtype), name=name) for name, kind in spec.inputs.items()}
    taken = {
        "numbers": tf.TensorSpec((None, len(spec.numbers)), tf.float32, name="numbers"),
        "ids": tf.TensorSpec((None, len(spec.ids)), tf.int32, name="ids"),
        **{each.name: tf.TensorSpec((None, *each.shape), tf.as_dtype(each.dtype), name=each.name) for each in spec.tensors},
    }
    archive.add_endpoint("serve", lambda values: scorer(values, training=False), input_signature=[raw])
    archive.add_endpoint("features", lambda values: dict(zip(taken, preprocessing(values), strict=True)), input_signature=[raw])
    archive.add_endpoint(
        "score_features",
        lambda values: head.link(network([values[name] for name in taken], training=False)),
        input_signature=[taken],
    )
    return archive
