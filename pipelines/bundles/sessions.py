"""How a model's graph runs, wherever it does: in the service, in Spark's workers, and where the parity gate compares it."""

from __future__ import annotations

import os
from typing import Any


def import_runtime() -> Any:
    """Import ONNX Runtime, with its telemetry off unless the environment says ORT_DISABLE_TELEMETRY=0.

    Its wheels send Microsoft an event a process and a session, and leave a device's id in ~/.cache and a file `.ses` in the
    folder for temporary files, unless this variable is set before the import.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # which readers of a manifest need not wait for

    return onnxruntime


def open_session(model: bytes) -> Any:
    """A session of ONNX Runtime over a serialized graph, on one thread. Raises what the runtime raises, of no common type.

    Threads of its own would compete with the caller's, and spin while they wait; the arena never gives memory back.
    """
    onnxruntime = import_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
