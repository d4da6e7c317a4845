"""The trained model as files: Keras format, SavedModel and ONNX, with its preprocessing inside. Never a pickle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import tensorflow as tf
from pydantic import TypeAdapter

from pipelines.bundles.card import TrainingData, model_card
from pipelines.bundles.manifest import (
    CARD,
    FEATURES,
    INPUT_SCHEMA,
    KERAS_FILE,
    OUTPUT_SCHEMA,
    PREPARED_INPUTS,
    SAVED_MODEL,
    write_json,
    write_manifest,
)
from pipelines.bundles.signature import InputField, input_schema, output_schema
from pipelines.config import Binary, Task
from pipelines.features.fitted import FittedSpec
from pipelines.io.filesystem import publish_folder
from pipelines.training.generated import generated_samples
from pipelines.training.job import Sample
from pipelines.training.parity import Parity, SavedModel, check_parity
from pipelines.training.preprocessing import build_preprocessing, build_scorer, network_signature
from pipelines.training.tasks import OutputHead

if TYPE_CHECKING:
    from pipelines.training.open_export import OnnxParity

TASK: TypeAdapter[Task] = TypeAdapter(Task)


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
    inputs of raw values. Beside it lies the same as ONNX: from raw values to the output, where that has the operators, and from
    the network's inputs; else from these alone, which the manifest lists as `prepared_inputs`. There are the fitted features,
    the schemas of inputs and output, the model card, and a manifest with the SHA-256 of each file. Raises QualityError when
    the features of either, of samples or of rows generated from them, are not Spark's, or their scores differ.
    """
    # Half a second, which the other ranks, and the first step, need not wait for.
    from pipelines.training.open_export import OnnxExport

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
        onnx, inputs = OnnxExport(network, spec, head, samples, generated, saved).write(Path(folder))
        _describe(Path(folder), spec, head, manifest, description, onnx)
        facts: dict[str, Any] = {"parity": parity._asdict(), "onnx": onnx._asdict(), "fingerprint": spec.fingerprint}
        if inputs:
            facts[PREPARED_INPUTS] = [each.model_dump(mode="json") for each in inputs]
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
    write_json(folder / CARD, model_card(manifest, inputs, description.data, _limit(onnx)).model_dump(mode="json"))


def _limit(onnx: OnnxParity) -> str | None:
    """What the model lacks as ONNX, for its card."""
    if onnx.missing:
        return f"It has no ONNX graph: {onnx.missing}"
    return (
        f"Its ONNX graph takes prepared inputs, which ringmill makes of raw values: {onnx.prepared}" if onnx.prepared else None
    )


def _archive(
    scorer: keras.Model, preprocessing: keras.Model, network: keras.Model, spec: FittedSpec, head: OutputHead
) -> keras.export.ExportArchive:
    archive = keras.export.ExportArchive()
    archive.track(scorer)
    raw = {name: tf.TensorSpec((None, *kind.shape), tf.as_dtype(kind.dtype), name=name) for name, kind in spec.inputs.items()}
    signature = network_signature(spec)
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
