"""A published model's folder, verified: its manifest, its schemas, and what scores with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from pipelines.bundles.calibration import Calibration
from pipelines.bundles.manifest import (
    CALIBRATION,
    CARD,
    FEATURES,
    INPUT_SCHEMA,
    MANIFEST,
    NETWORK_FILE,
    ONNX_FILE,
    OUTPUT_SCHEMA,
    PREPARED_INPUTS,
    SAVED_MODEL,
    read_manifest,
)
from pipelines.bundles.signature import InputField, OutputField, PreparedInput
from pipelines.errors import BundleError
from pipelines.features.fitted import FittedSpec
from pipelines.features.prepared import Preparation
from pipelines.io.filesystem import fetch_folder, is_local
from pipelines.temporary import TemporaryFolder

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.serving.scorers import FeaturesScorer, Scorer, TensorFlowScorer

INPUTS: TypeAdapter[tuple[InputField, ...]] = TypeAdapter(tuple[InputField, ...])
PREPARED: TypeAdapter[tuple[PreparedInput, ...]] = TypeAdapter(tuple[PreparedInput, ...])
CALIBRATIONS: TypeAdapter[Calibration] = TypeAdapter(Calibration)


class Bundle:
    """One exported model at a path or URI. Reads and verifies all of its files; loads no graph until something is scored.

    `prepared_inputs` are the arrays that its ONNX graph takes where that does not begin at raw values; else there are none.
    `digest` is the manifest's SHA-256, and so stands for every byte of the folder. Raises BundleError when the folder is not
    as it was published.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        try:
            self._copy = None if is_local(uri) else TemporaryFolder("model")
            self.folder = fetch_folder(uri, self._copy.path if self._copy else Path(uri))
        except OSError as error:
            raise BundleError(f"model {uri}: can't be loaded ({error}). Train one first, or fix the path.") from error
        self.manifest: dict[str, Any] = read_manifest(self.folder, uri)
        self.digest = hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()
        try:
            self.spec = FittedSpec.model_validate(self._json(FEATURES))
            self.input_schema = INPUTS.validate_python(self._json(INPUT_SCHEMA))
            self.output_schema = OutputField.model_validate(self._json(OUTPUT_SCHEMA))
            self.prepared_inputs = PREPARED.validate_python(self.manifest.get(PREPARED_INPUTS, ()))
            carried = CALIBRATION in self.manifest["files"]
            self.calibration = CALIBRATIONS.validate_python(self._json(CALIBRATION)) if carried else None
        except (OSError, ValidationError) as error:
            raise BundleError(
                f"model {uri}: another version exported it, which this one can't read ({error}). Train again."
            ) from error

    @classmethod
    def open(cls, uri: str) -> Bundle:
        """Read and verify the model at a path or URI."""
        return cls(uri)

    @property
    def card(self) -> dict[str, Any]:
        """The model card, as it was published."""
        return dict(self._json(CARD))

    @property
    def has_onnx(self) -> bool:
        """Whether the model can be scored without TensorFlow."""
        return ONNX_FILE in self.manifest["files"]

    @property
    def has_network(self) -> bool:
        """Whether rows of the features table can be scored without TensorFlow."""
        return self._network_file in self.manifest["files"]

    @property
    def _network_file(self) -> str:
        """The graph that takes the network's inputs, which prepared inputs are."""
        return ONNX_FILE if self.prepared_inputs else NETWORK_FILE

    def scorer(self, *, onnx: bool | None = None) -> Scorer:
        """Load what scores raw values: ONNX Runtime where the folder has a graph for it, else TensorFlow. `onnx` forces one."""
        from pipelines.serving.scorers import OnnxScorer, PreparedScorer

        if not (onnx if onnx is not None else self.has_onnx):
            return self._tensorflow
        path = self.folder / ONNX_FILE
        return PreparedScorer(path, self._preparation) if self.prepared_inputs else OnnxScorer(path)

    def prepare(self, values: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Prepare raw values for an ONNX graph that takes `prepared_inputs`: an array (n, …) for each of these.

        Raises DataError, which names values and rows, when one can't be prepared: an image that is no PNG, for example.
        """
        prepared = self._preparation(values)
        return {each.name: prepared[each.name] for each in self.prepared_inputs}

    @cached_property
    def _preparation(self) -> Preparation:
        return Preparation(self.spec)

    @cached_property
    def _tensorflow(self) -> TensorFlowScorer:
        from pipelines.serving.scorers import TensorFlowScorer

        try:
            return TensorFlowScorer(self.folder / SAVED_MODEL, self.spec)
        except OSError as error:
            raise BundleError(f"model {self.uri}: can't be loaded ({error}). Train one first, or fix the path.") from error

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Score raw values with TensorFlow, as TensorFlowScorer does."""
        return self._tensorflow.score(values)

    def score_features(self, batch: pa.RecordBatch) -> npt.NDArray[np.float32]:
        """Score rows of the features table: with ONNX Runtime where the folder has a graph for it, else with TensorFlow."""
        return self._of_features.score_features(batch)

    @cached_property
    def _of_features(self) -> FeaturesScorer:
        from pipelines.serving.scorers import OnnxNetworkScorer

        if self.has_network:
            return OnnxNetworkScorer(self.folder / self._network_file, self.spec)
        return self._tensorflow

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))
