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
from pipelines.features.prepared import Preparation
from pipelines.fitted import FittedSpec
from pipelines.training import open_format
from pipelines.training.job import Sample
from pipelines.training.open_format import OUTPUT, NotExpressibleError, Runtime
from pipelines.training.parity import Arrays, SavedModel, check_parity, check_scores, raw_values
from pipelines.training.tasks import Head


class Onnx(NamedTuple):
    """What became of the model as ONNX: the greatest differences of its features from Spark's and of its scores from the
    SavedModel's; why it begins at prepared inputs, where it does; or why there is none.
    """

    features: float | None = None
    scores: float | None = None
    missing: str | None = None
    prepared: str | None = None


class Written(NamedTuple):
    """What became of the model as ONNX, and the arrays that its graph takes where it begins at prepared inputs."""

    onnx: Onnx
    inputs: tuple[PreparedInput, ...] = ()


@dataclass(frozen=True)
class OnnxExport:
    """Writes a network as ONNX into a folder. It is compared on sampled rows, and on features of rows generated from them."""

    network: keras.Model
    spec: FittedSpec
    head: Head
    samples: Sequence[Sample]
    generated: Sequence[Sample]
    saved: SavedModel

    def write(self, folder: Path) -> Written:
        """Write a graph that begins at raw values; else one that begins at prepared inputs; else none.

        Raises QualityError when features are not Spark's, or scores not the SavedModel's.
        """
        try:
            return Written(self._write_raw(folder))
        except NotExpressibleError as error:
            reason = str(error)
        try:
            return self._write_prepared(folder, reason)
        except NotExpressibleError as error:
            return Written(Onnx(missing=str(error)))

    def _write_raw(self, folder: Path) -> Onnx:
        made = open_format.to_onnx(self.network, self.spec, self.head)
        model, features = Runtime(made.model), Runtime(made.features)
        alone = Runtime(made.network) if made.network else None
        differ, scores = self._check_features(features, "the ONNX model"), 0.0
        if self.samples:
            scores = self._check_scores(model(self._raw), "the ONNX model")
            if alone:
                computed = features(self._raw)
                self._check_scores(alone({name: computed[name] for name in self.spec.taken}), "the ONNX network")
        (folder / ONNX_FILE).write_bytes(made.model)
        if made.network:
            (folder / NETWORK_FILE).write_bytes(made.network)
        return Onnx(differ, scores)

    def _write_prepared(self, folder: Path, reason: str) -> Written:
        model = open_format.to_prepared_onnx(self.network, self.spec, self.head)
        runtime, preparation = Runtime(model), Preparation(self.spec)
        differ, scores = self._check_features(preparation, "the prepared ONNX model"), 0.0
        if self.samples:
            prepared = preparation(self._raw)
            computed = runtime({name: prepared[name] for name in runtime.inputs})
            scores = self._check_scores(computed, "the prepared ONNX model")
        (folder / ONNX_FILE).write_bytes(model)
        inputs = tuple(each for each in prepared_inputs(self.spec) if each.name in runtime.inputs)
        return Written(Onnx(differ, scores, prepared=reason), inputs)

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
