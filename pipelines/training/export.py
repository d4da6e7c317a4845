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
from pipelines.training.tasks import OutputHead

TASK: TypeAdapter[Task] = TypeAdapter(Task)


class OnnxParity(NamedTuple):
    """How far the ONNX model differs: the greatest differences of its features from Spark's and of its scores from the
    SavedModel's; or why there is no ONNX model.
    """

    features: float | None = None
    scores: float | None = None
    missing: str | None = None


class Exported(NamedTuple):
    """The results of the parity gate: of the SavedModel and of the ONNX model."""

    parity: Parity
    onnx: OnnxParity


class Description(NamedTuple):
    """What callers and readers of a model need to know, and its graph does not hold: its inputs as the contract has them, and
    the data that it was trained on.
    """

    inputs: tuple[InputField, ...] = ()
    data: TrainingData = TrainingData()


def export(
    network: keras.Model,
    spec: FittedSpec,
    head: OutputHead,
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
    folder: Path, spec: FittedSpec, head: OutputHead, manifest: dict[str, Any], description: Description, onnx: OnnxParity
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
    head: OutputHead,
    folder: Path,
    samples: Sequence[Sample],
    generated: Sequence[Sample],
    saved: SavedModel,
) -> OnnxParity:
    # Half a second, which the other ranks, and the first step, need not wait for.
    from pipelines.training.open_format import OUTPUT, NotExpressibleError, Runtime, to_onnx

    try:
        converted = to_onnx(network, spec, head)
        model, features = Runtime(converted.model), Runtime(converted.features)
        alone = Runtime(converted.network) if converted.network else None
    except NotExpressibleError as error:
        return OnnxParity(missing=str(error))
    differ, scores = check_parity(features, spec, [*samples, *generated], "the ONNX model").difference, 0.0
    if samples:
        raw = raw_values(spec, [sample.raw for sample in samples])
        expected = saved.scores(raw)
        scores = check_scores(model(raw)[OUTPUT], expected, samples, "the ONNX model")
        if alone:
            computed = features(raw)
            check_scores(alone({name: computed[name] for name in spec.taken})[OUTPUT], expected, samples, "the ONNX network")
    (folder / ONNX_FILE).write_bytes(converted.model)
    if converted.network:
        (folder / NETWORK_FILE).write_bytes(converted.network)
    return OnnxParity(differ, scores)


def _archive(
    scorer: keras.Model, preprocessing: keras.Model, network: keras.Model, spec: FittedSpec, head: OutputHead
) -> keras.export.ExportArchive:
    archive = keras.export.ExportArchive()
    archive.track(scorer)
    raw = {name: tf.TensorSpec((None, *kind.shape), tf.as_dtype(kind.dtype), name=name) for name, kind in spec.inputs.items()}
    signature = {
        "numbers": tf.TensorSpec((None, len(spec.numbers)), tf.float32, name="numbers"),
        "ids": tf.TensorSpec((None, len(spec.ids)), tf.int32, name="ids"),
        **{
            tensor.name: tf.TensorSpec((None, *tensor.shape), tf.as_dtype(tensor.dtype), name=tensor.name)
            for tensor in spec.tensors
        },
    }
    archive.add_endpoint("serve", lambda values: scorer(values, training=False), input_signature=[raw])
    archive.add_endpoint(
        "features", lambda values: dict(zip(signature, preprocessing(values), strict=True)), input_signature=[raw]
    )
    archive.add_endpoint(
        "score_features",
        lambda values: head.link(network([values[name] for name in signature], training=False)),
        input_signature=[signature],
    )
    return archive
