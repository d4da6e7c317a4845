"""The services that are compared: ours by each library, a plain one of FastAPI, and MLServer in an environment of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import psutil

from setup.environments import environment, python, variables
from setup.postgres import free_port

HERE = Path(__file__).parent
PATIENCE_SECONDS = 120.0
PLAIN = "plain"  # FastAPI as its documentation writes it
PREDICT, INFER = "/predict", "/v2/models/benchmark/infer"


class Variant(NamedTuple):
    """A service: what the table calls it, the library that scores, the route that is loaded, and options of our service."""

    title: str
    library: str
    path: str = PREDICT
    options: tuple[str, ...] = ()


VARIANTS = {
    "onnx": Variant("ringmill, ONNX Runtime", "onnx"),
    "onnx-v2": Variant("ringmill, ONNX Runtime, v2 JSON", "onnx", INFER),
    "savedmodel": Variant("ringmill, SavedModel", "savedmodel"),
    "savedmodel-alone": Variant("ringmill, SavedModel, a call a row", "savedmodel", options=("--batch-rows", "1")),
    "savedmodel-plain": Variant("plain FastAPI, SavedModel", PLAIN),
    "keras": Variant("ringmill, Keras predict", "keras"),
    "mlserver": Variant("MLServer, ONNX Runtime, v2 JSON", "mlserver", INFER),
}


class Running(NamedTuple):
    """A service that answers: its port and process."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Processor seconds of the service's processes so far."""
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


@contextmanager
def served(variant: Variant, model: Path, work: Path) -> Iterator[Running]:
    """Serve a model's folder; `work` is a folder for what a service needs besides."""
    if variant.library == "mlserver":
        process, port = _start_mlserver(model, work)
    else:
        process, port = _start_ours(variant, model)
    try:
        _wait_until_ready(port)
        yield Running(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.communicate()


def _start_ours(variant: Variant, model: Path) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "benchmarks.serving_services", variant.library, str(model), *variant.options]
    if variant.library == PLAIN:
        command = [sys.executable, "-m", "benchmarks.serving_plain", str(model)]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        message = str(json.loads(line)["message"])
        if message.startswith("listening on"):
            return process, int(message.split(" (", maxsplit=1)[0].rsplit(":", 1)[1])
    raise ChildProcessError(f"the service with {variant.library} ended before it listened")


def mlserver_environment() -> Path:
    """The environment of MLServer; some 400 MB, made once."""
    return environment("mlserver", HERE / "mlserver-requirements.txt", check="import mlserver, onnxruntime, pandas, uvloop")


def _start_mlserver(model: Path, work: Path) -> tuple[subprocess.Popen[str], int]:
    """MLServer in one process, as ours is, with its access log off."""
    folder = mlserver_environment()
    ports = {name: free_port() for name in ("http_port", "grpc_port", "metrics_port")}
    settings: dict[str, Any] = {**ports, "host": "127.0.0.1", "debug": False, "parallel_workers": 0}
    (work / "settings.json").write_text(json.dumps(settings))
    of_model = {
        "name": "benchmark",
        "implementation": "mlserver_runtime.OnnxRuntime",
        "parameters": {"uri": str(model / "model.onnx")},
    }
    (work / "model-settings.json").write_text(json.dumps(of_model))
    (work / "mlserver_runtime.py").write_bytes((HERE / "mlserver_runtime.py").read_bytes())
    command = [python(folder), "-m", "mlserver.cli.main", "start", str(work)]
    with (work / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=work, env=variables(), text=True, stdout=log, stderr=subprocess.STDOUT)
    return process, ports["http_port"]


def _wait_until_ready(port: int) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/benchmark/ready"):
                return
        except (OSError, urllib.error.HTTPError):
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


class KerasScorer:
    """`predict` of the Keras file, as a service without a graph of its own would call it."""

    def __init__(self, folder: Path) -> None:
        import keras
        import tensorflow as tf

        self._tf, self._model = tf, keras.models.load_model(folder / "model.keras")
        self.runtime = f"Keras {keras.__version__}"

    def score(self, values: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Score raw values by column, each an array of shape (rows,); return scores of shape (rows, outputs)."""
        types = {True: self._tf.string, False: self._tf.float64}
        tensors = {name: self._tf.constant(value, types[value.dtype == object]) for name, value in values.items()}
        scores: npt.NDArray[np.float32] = self._model.predict(tensors, verbose=0)
        return scores


def scorers() -> dict[str, Callable[[Any], Any]]:
    """How each library loads the scorer of a bundle."""
    from pipelines.serving.bundle import Bundle

    own = Bundle.scorer
    return {
        "onnx": own,
        "savedmodel": lambda bundle: own(bundle, onnx=False),
        "keras": lambda bundle: KerasScorer(bundle.folder),
    }


def main() -> None:
    """Serve a folder by a library, with the options of the service."""
    from pipelines.serving import __main__ as service
    from pipelines.serving.bundle import Bundle

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    parser.add_argument("model")
    arguments, options = parser.parse_known_args()
    with patch.object(Bundle, "scorer", scorers()[arguments.library]):
        sys.exit(service.main(["--model", arguments.model, "--name", "benchmark", "--port", "0", "--no-access-log", *options]))


if __name__ == "__main__":
    main()
