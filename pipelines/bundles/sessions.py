"""How a model's graph runs, wherever it does: in the service, in Spark's workers, and where the parity gate compares it."""

from __future__ import annotations

from typing import Any


def open_session(model: bytes) -> Any:
    """A session of ONNX Runtime over a serialized graph, on one thread. Raises what the runtime raises, of no common type.

    Threads of its own would compete with the caller's, and spin while they wait; the arena never gives memory back.
    """
    import onnxruntime  # which readers of a manifest need not wait for

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
