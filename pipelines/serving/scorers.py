"""What scores raw values: ONNX Runtime, with NumPy before a graph that takes prepared inputs; or TensorFlow without a graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pipelines.bundles.sessions import import_runtime, open_session
from pipelines.features.fitted import FittedSpec
from pipelines.features.prepared import Preparation

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 4096  # go through a graph: what its steps hand on then stays in the processor's cache
Scores = npt.NDArray[np.float32]


class Scorer(Protocol):
    """A loaded model. `runtime` names the library that computes, with its version."""

    runtime: str

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """Probabilities (n,) or (n, classes), or numbers (n,) or (n, horizon), from raw values: an array (n, …) an input of
        the schema, float64 with NaN or object with '' where missing.
        """


class FeaturesScorer(Protocol):
    """A loaded model that scores rows of the features table."""

    def score_features(self, batch: pa.RecordBatch) -> Scores:
        """Scores (n,) or (n, several) of n rows."""


class OnnxScorer:
    """An ONNX graph on one thread. Does not import TensorFlow."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path.read_bytes())
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._output = [self._session.get_outputs()[0].name]
        self.runtime = f"ONNX Runtime {import_runtime().__version__}"

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """Score raw values; inputs that the graph does not use are left out."""
        inputs = {name: values[name] for name in self._inputs}
        rows = len(next(iter(inputs.values()), ()))
        if rows <= ROWS_AT_ONCE:
            return self._run(inputs)
        starts = range(0, rows, ROWS_AT_ONCE)
        return np.concatenate(
            [self._run({name: each[start : start + ROWS_AT_ONCE] for name, each in inputs.items()}) for start in starts]
        )

    def _run(self, values: dict[str, npt.NDArray[Any]]) -> Scores:
        scores: Scores = self._session.run(self._output, values)[0]
        return scores


class PreparedScorer:
    """An ONNX graph that begins at prepared inputs, and their preparation in NumPy. Does not import TensorFlow."""

    def __init__(self, path: Path, preparation: Preparation) -> None:
        self._scorer, self._preparation = OnnxScorer(path), preparation
        self.runtime = f"{self._scorer.runtime} after NumPy {np.__version__}"

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """Prepare and score raw values. Raises DataError, which names values and rows, when one can't be prepared."""
        return self._scorer.score(self._preparation(values))


class OnnxNetworkScorer:
    """The network alone as an ONNX graph: from the columns of the features table."""

    def __init__(self, path: Path, spec: FittedSpec) -> None:
        self._scorer, self._spec = OnnxScorer(path), spec

    def score_features(self, batch: pa.RecordBatch) -> Scores:
        """Score rows of the features table."""
        from pipelines.features.columns import network_inputs

        return self._scorer.score(dict(zip(self._spec.input_names, network_inputs(batch, self._spec), strict=True)))


class TensorFlowScorer:
    """The SavedModel, which scores raw values and rows of the features table. Importing TensorFlow takes three seconds."""

    def __init__(self, path: Path, spec: FittedSpec) -> None:
        from pipelines.lean import import_keras

        import_keras()
        import tensorflow as tf

        self._tf, self._spec = tf, spec
        self._model: Any = tf.saved_model.load(str(path))
        self.runtime = f"TensorFlow {tf.__version__}"

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """The scores of rows of raw values, in their order."""
        kinds = self._spec.inputs
        tensors = {name: self._tf.constant(values[name], self._tf.as_dtype(kind.dtype)) for name, kind in kinds.items()}
        scores: Scores = self._model.serve(tensors).numpy()
        return scores

    def score_features(self, batch: pa.RecordBatch) -> Scores:
        """Score rows of the features table."""
        from pipelines.features.columns import network_inputs

        inputs = dict(zip(self._spec.input_names, network_inputs(batch, self._spec), strict=True))
        scores: Scores = self._model.score_features(inputs).numpy()
        return scores
