"""What scores raw values: ONNX Runtime, or TensorFlow for models that have no ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pipelines.fitted import FittedSpec

if TYPE_CHECKING:
    import pyarrow as pa

Scores = npt.NDArray[np.float32]


class Scorer(Protocol):
    """A loaded model. `runtime` names the library that computes, with its version."""

    runtime: str

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """Probabilities (n,) or (n, classes), or numbers (n,) or (n, horizon), from raw values: an array (n, …) an input of
        the schema, float64 with NaN or object with '' where missing.
        """


class OnnxScorer:
    """The ONNX graph on one thread. Does not import TensorFlow.

    Threads of its own would compete with the caller's, and spin while they wait; the arena never gives memory back.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._output = [self._session.get_outputs()[0].name]
        self.runtime = f"ONNX Runtime {onnxruntime.__version__}"

    def score(self, values: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """Score raw values; inputs that the graph does not use are left out."""
        scores: Scores = self._session.run(self._output, {name: values[name] for name in self._inputs})[0]
        return scores


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
        """Score raw values."""
        kinds = self._spec.inputs
        tensors = {name: self._tf.constant(values[name], self._tf.as_dtype(kind.dtype)) for name, kind in kinds.items()}
        scores: Scores = self._model.serve(tensors).numpy()
        return scores

    def score_features(self, batch: pa.RecordBatch) -> Scores:
        """Score rows of the features table."""
        from pipelines.columns import network_inputs

        taken = dict(zip(self._spec.taken, network_inputs(batch, self._spec), strict=True))
        scores: Scores = self._model.score_features(taken).numpy()
        return scores
