"""A model written as ONNX, once it agrees with Spark's features and the SavedModel's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy.typing as npt

from pipelines.bundles.manifest import NETWORK_FILE, ONNX_FILE
from pipelines.bundles.signature import PreparedInput, prepared_inputs
from pipelines.features.fitted import FittedSpec
from pipelines.features.prepared import Preparation
from pipelines.training import open_format
from pipelines.training.job import Sample
from pipelines.training.open_format import OUTPUT, NotExpressibleError, Runtime
from pipelines.training.parity import Arrays, SavedModel, check_parity, check_scores, raw_values
from pipelines.training.tasks import OutputHead


class OnnxParity(NamedTuple):
    """How far the ONNX model differs: the greatest differences of its features from Spark's and of its scores from the
    SavedModel's; why it begins at prepared inputs, where it does; or why there is no ONNX model.
    """

    features: float | None = None
    scores: float | None = None
    missing: str | None = None
    prepared: str | None = None


class WrittenOnnx(NamedTuple):
    """The ONNX model's parity, and the arrays that its graph takes where it begins at prepared inputs."""

    onnx: OnnxParity
    inputs: tuple[PreparedInput, ...] = ()


@dataclass(frozen=True)
class OnnxExport:
    """Writes a network as ONNX into a folder. It is compared on sampled rows, and on features of rows generated from them."""

    network: keras.Model
    spec: FittedSpec
    head: OutputHead
    samples: Sequence[Sample]
    generated: Sequence[Sample]
    saved: SavedModel

    def write(self, folder: Path) -> WrittenOnnx:
        """Write a graph that begins at raw values; else one that begins at prepared inputs; else none.

        Raises QualityError when features are not Spark's, or scores not the SavedModel's.
        """
        try:
            return WrittenOnnx(self._write_raw(folder))
        except NotExpressibleError as error:
            reason = str(error)
        try:
            return self._write_prepared(folder, reason)
        except NotExpressibleError as error:
            return WrittenOnnx(OnnxParity(missing=str(error)))

    def _write_raw(self, folder: Path) -> OnnxParity:
        converted = open_format.to_onnx(self.network, self.spec, self.head)
        model, features = Runtime(converted.model), Runtime(converted.features)
        alone = Runtime(converted.network) if converted.network else None
        differ, scores = self._check_features(features, "the ONNX model"), 0.0
        if self.samples:
            scores = self._check_scores(model(self._raw), "the ONNX model")
            if alone:
                computed = features(self._raw)
                self._check_scores(alone({name: computed[name] for name in self.spec.input_names}), "the ONNX network")
        (folder / ONNX_FILE).write_bytes(converted.model)
        if converted.network:
            (folder / NETWORK_FILE).write_bytes(converted.network)
        return OnnxParity(differ, scores)

    def _write_prepared(self, folder: Path, reason: str) -> WrittenOnnx:
        model = open_format.to_prepared_onnx(self.network, self.spec, self.head)
        runtime, preparation = Runtime(model), Preparation(self.spec)
        differ, scores = self._check_features(preparation, "the prepared ONNX model"), 0.0
        if self.samples:
            prepared = preparation(self._raw)
            computed = runtime({name: prepared[name] for name in runtime.inputs})
            scores = self._check_scores(computed, "the prepared ONNX model")
        (folder / ONNX_FILE).write_bytes(model)
        inputs = tuple(each for each in prepared_inputs(self.spec) if each.name in runtime.inputs)
        return WrittenOnnx(OnnxParity(differ, scores, prepared=reason), inputs)

    def _check_features(self, compute: Runtime | Preparation, model: str) -> float:
        return check_parity(compute, self.spec, [*self.samples, *self.generated], model).difference

    def _check_scores(self, computed: Arrays, model: str) -> float:
        return check_scores(computed[OUTPUT], self._expected, self.samples, model)

    @cached_property
    def _raw(self) -> dict[str, npt.NDArray[Any]]:
        return raw_values(self.spec, [sample.raw for sample in self.samples])

    @cached_property
    def _expected(self) -> npt.NDArray[Any]:
        return self.saved.scores(self._raw)
