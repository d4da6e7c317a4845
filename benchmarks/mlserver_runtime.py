"""MLServer's model: the bundle's graph in ONNX Runtime on one thread, as our service runs it. Copied into MLServer's folder."""

from __future__ import annotations

import numpy as np
import onnxruntime
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput  # type: ignore[import-not-found]


class OnnxRuntime(MLModel):  # type: ignore[misc] # MLServer is in another environment
    """A graph whose inputs are numbers (FP64) and texts (BYTES)."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = {tensor.name: _array(tensor) for tensor in payload.inputs}
        scores = self._session.run(["output"], inputs)[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("output", scores)])


def _array(tensor: RequestInput) -> np.ndarray:  # type: ignore[type-arg]
    if tensor.datatype == "BYTES":
        return np.array(tensor.data.root, object)
    values: np.ndarray = NumpyCodec.decode_input(tensor)  # type: ignore[type-arg]
    return values
