"""The trained model as files: Keras format, SavedModel and ONNX, each with its preprocessing inside. Never a pickle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from pydantic import TypeAdapter

from pipelines.bundles.card import TrainingData, model_card
from pipelines.bundles.manifest import (
    CARD,
    FEATURES,
    INPUT_SCHEMA,
    KERAS_FILE,
    NETWORK_FILE,
    ONNX_FILE,
    OUTPUT_SCHEMA,
    SAVED_MODEL,
    write_json,
    write_manifest,
)
from pipelines.bundles.signature import InputField, input_schema, output_schema
from pipelines.config import Binary, Task
from pipelines.fitted import FittedSpec
from pipelines.storage import publish_folder
from pipelines.training.generated import generated_samples
from pipelines.training.job import Sample
from pipelines.training.parity import Parity, SavedModel, check_parity, check_scores, raw_values
from pipelines.training.preprocessing import build_preprocessing, build_scorer
from pipelines.training.tasks import Head

TASK: TypeAdapter[Task] = TypeAdapter(Task)


class Onnx(NamedTuple):
    """What became of the model as ONNX: the greatest differences of its features from Spark's and of its scores from the
    SavedModel's; or why there is none.
    """

    features: float | None = None
    scores: float | None = None
    missing: str | None = None


class Exported(NamedTuple):
    """What the parity gate found."""

    parity: Parity
    onnx: Onnx


class Description(NamedTuple):
    """What callers and readers of a model need to know, and its graph does not hold: its inputs as the contract has them, and
    the data that it was trained on.
    """

    inputs: tuple[InputField, ...] = ()
    data: TrainingData = TrainingData()


def export(
    network: keras.Model,
    spec: FittedSpec,
    head: Head,
    manifest: dict[str, Any],
    uri: str,
    samples: Sequence[Sample] = (),
    description: Description = Description(),  # noqa: B008 - it is immutable
) -> Exported:
    """Write the model's folder to a path or URI, whole or not at all, once it makes the same features of `samples` as Spark.

    The SavedModel has three endpoints: `serve` takes raw values by feature name, `score_features` takes what the network
    takes (numbers, ids and tensors by name), and both give what the head's task is read as; `features` gives the network's
    inputs of raw values. Beside it lies the same from raw values to the output as ONNX, where that has the operators, and from
    the network's inputs, the fitted features, the schemas of inputs and output, the model card, and a manifest with the
    SHA-256 of each file. Raises QualityError when the features of either, of samples or of
    rows generated from them, are not Spark's, or their scores differ.
    """
    preprocessing = build_preprocessing(spec)
    scorer = build_scorer(network, preprocessing, head)
    with tempfile.TemporaryDirectory() as folder:
        scorer.save(Path(folder) / KERAS_FILE)
        archive = _archive(scorer, preprocessing, network, spec, head)
        archive.write_out(str(Path(folder) / SAVED_MODEL), verbose=False)
        saved = SavedModel(Path(folder) / SAVED_MODEL)
        generated = generated_samples(spec, samples)
        parity = check_parity(saved.features, spec, [*samples, *generated])
        parity = parity._replace(rows=len(samples), generated=len(generated))
        onnx = _export_onnx(network, spec, head, Path(folder), samples, generated, saved)
        _describe(Path(folder), spec, head, manifest, description, onnx)
        facts = {"parity": parity._asdict(), "onnx": onnx._asdict(), "fingerprint": spec.fingerprint}
        write_manifest(Path(folder), {"task": Binary().model_dump(), **manifest, **facts})
        publish_folder(Path(folder), uri)
    return Exported(parity, onnx)


def _describe(
    folder: Path, spec: FittedSpec, head: Head, manifest: dict[str, Any], description: Description, onnx: Onnx
) -> None:
    """Write what is beside the graphs: fitted features, schemas and the model card."""
    inputs = description.inputs or input_schema(spec)
    task = TASK.validate_python(manifest.get("task", Binary().model_dump()))
    write_json(folder / FEATURES, spec.model_dump(mode="json"))
    write_json(folder / INPUT_SCHEMA, [field.model_dump(mode="json") for field in inputs])
    write_json(folder / OUTPUT_SCHEMA, output_schema(task, head.outputs).model_dump(mode="json"))
    write_json(folder / CARD, model_card(manifest, inputs, description.data, onnx.missing).model_dump(mode="json"))


def _export_onnx(
    network: keras.Model,
    spec: FittedSpec,
    head: Head,
    folder: Path,
    samples: Sequence[Sample],
    generated: Sequence[Sample],
    saved: SavedModel,
) -> Onnx:
    # Half a second, which the other ranks, and the first step, need not wait for.
    from pipelines.training.open_format import OUTPUT, NotExpressibleError, Runtime, to_onnx

    try:
        made = to_onnx(network, spec, head)
        model, features = Runtime(made.model), Runtime(made.features)
        alone = Runtime(made.network) if made.network else None
    except NotExpressibleError as error:
        return Onnx(missing=str(error))
    differ, scores = check_parity(features, spec, [*samples, *generated], "the ONNX model").difference, 0.0
    if samples:
        raw = raw_values(spec, [sample.raw for sample in samples])
        expected = saved.scores(raw)
        scores = check_scores(model(raw)[OUTPUT], expected, samples, "the ONNX model")
        if alone:
            computed = features(raw)
            check_scores(alone({name: computed[name] for name in spec.taken})[OUTPUT], expected, samples, "the ONNX network")
    (folder / ONNX_FILE).write_bytes(made.model)
    if made.network:
        (folder / NETWORK_FILE).write_bytes(made.network)
    return Onnx(differ, scores)


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
