"""The same raw rows by every route to a prediction, from the features table to the service's binary tensors."""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tritonclient.http as triton
import uvicorn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipelines.bundles.signature import InputField
from pipelines.expressions import cols
from pipelines.registry.digest import bundle_hash
from pipelines.runtime.context import Context
from pipelines.runtime.execute import execute
from pipelines.serving.app import build_app
from pipelines.serving.bundle import Bundle
from pipelines.serving.gate import Gate
from pipelines.serving.service import Service
from pipelines.serving.settings import Limits, Settings
from pipelines.serving.sources import PathSource
from pipelines.steps.examples import examples
from pipelines.steps.predict import predict_step
from pipelines.steps.registry import change_models
from pipelines.steps.scoring import score_features
from pipelines.steps.train import FEATURES as FEATURES_TABLE
from pipelines.steps.train import prepare
from tests.pipelines.registry.versions import history, version

ROWS, A_REQUEST, TOLERANCE = 10_000, 1_000, 1e-6
Scores = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]


class Raw(NamedTuple):
    """Examples as a model takes them: their ids, and an array a name."""

    ids: list[int]
    values: Arrays


def publish_untrained(context: Context, folder: Path) -> str:
    """Publish the example's own network with the weights that it starts with, as champion; its folder."""
    import keras

    from pipelines.training.export import Description, export
    from pipelines.training.networks import build_network
    from pipelines.training.tasks import head_of

    prepared, config = prepare(context), context.config
    keras.utils.set_random_seed(3)
    head = head_of(config.task, prepared.spec, config.horizon)
    network = build_network(config.train.network, prepared.spec, head.outputs)
    facts = {"run_id": "run", "pipeline": config.pipeline, "task": config.task.model_dump(mode="json")}
    uri = str(folder / "model")
    export(network, prepared.spec, head, facts, uri, prepared.samples, Description(prepared.inputs, prepared.data))
    champion = version(1, uri=uri, hash=bundle_hash(uri), alias="champion", metrics={})
    change_models(context, lambda _: history(champion))
    return uri


def raw_rows(context: Context, bundle: Bundle) -> Raw:
    """The first examples' raw values in order of their id, nulls as NaN or an empty text. Series lack no step."""
    kinds = bundle.spec.inputs
    with examples(context, by="the test") as (rows, *_):
        whole = rows.where(" and ".join(["true", *(f"{name} is not null" for name, kind in kinds.items() if kind.length)]))
        times = {name for name, type_ in rows.dtypes if type_ == "timestamp" and name in kinds}
        selected = whole.select("row_id", *cols([name for name in kinds if name not in times]),
                             *((F.unix_micros(name) / 1e6).alias(name) for name in times))  # fmt: skip
        columns = selected.orderBy("row_id").limit(ROWS).toArrow().to_pydict()
    return Raw(columns["row_id"], {name: _array(kind.dtype, columns[name]) for name, kind in kinds.items()})


def _array(type_: str, column: list[Any]) -> npt.NDArray[Any]:
    if type_ == "string":
        return np.array([value or "" for value in column], object)
    return np.array([np.nan if value is None else value for value in column], np.float64)


def named(field: InputField, value: Any) -> Any:
    """A value as `/predict` takes it."""
    if isinstance(value, np.ndarray):
        return [None if math.isnan(each) else each for each in value.tolist()]
    if isinstance(value, str):
        return value or None
    if math.isnan(value):
        return None
    if field.type == "timestamp":
        return datetime.fromtimestamp(value, UTC).isoformat()
    return bool(value) if field.type == "boolean" else int(value) if field.type in ("int", "bigint") else float(value)


@contextmanager
def served(uri: str) -> Iterator[str]:
    """The service on a free port, in a thread of this process."""
    service = Service(PathSource(uri), Settings(name="m", limits=Limits(body_bytes=64 << 20), access_log=False))
    service.load_first()
    server = uvicorn.Server(uvicorn.Config(Gate(build_app(service), service), port=0, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def post(address: str, path: str, content: object) -> Any:
    """The JSON answer to a JSON body."""
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(content).encode())
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def by_names(address: str, bundle: Bundle, raw: Arrays) -> Scores:
    """Predictions of named values."""
    fields = {field.name: field for field in bundle.input_schema}
    rows = [
        {name: named(fields[name], value) for name, value in zip(raw, values, strict=True)}
        for values in zip(*raw.values(), strict=True)
    ]
    predictions = post(address, "/predict", rows)["predictions"]
    if bundle.output_schema.task == "multiclass":
        return np.array([list(prediction["probabilities"].values()) for prediction in predictions])
    return np.array([prediction.get("probability", prediction.get("values")) for prediction in predictions])


def by_json_tensors(address: str, bundle: Bundle, raw: Arrays) -> Scores:
    """Predictions of the protocol's tensors in JSON."""
    inputs = [
        {
            "name": field.name, "datatype": field.datatype, "shape": list(raw[field.name].shape),
            "data": [_or_null(value) for value in raw[field.name].reshape(-1).tolist()],
        }
        for field in bundle.input_schema
    ]  # fmt: skip
    output = post(address, "/v2/models/m/infer", {"inputs": inputs})["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"])


def _or_null(value: float | str) -> float | str | None:
    return value if isinstance(value, str) or not math.isnan(value) else None


def by_binary_tensors(address: str, bundle: Bundle, raw: Arrays) -> Scores:
    """Predictions of the protocol's binary tensors, by NVIDIA's client."""
    inputs = []
    for field in bundle.input_schema:
        inputs.append(triton.InferInput(field.name, list(raw[field.name].shape), field.datatype))
        inputs[-1].set_data_from_numpy(raw[field.name], binary_data=True)
    with triton.InferenceServerClient(address) as client:
        scores: Scores = client.infer("m", inputs).as_numpy("output")
    return scores


def by_keras(uri: str, raw: Arrays) -> Scores:
    """Predictions of the Keras file, called: `predict` casts numbers to float32 first, and with them the seconds of a time."""
    import keras
    import tensorflow as tf

    tensors = {name: tf.constant(value, tf.string if value.dtype == object else tf.float64) for name, value in raw.items()}
    scores: Scores = keras.models.load_model(f"{uri}/model.keras")(tensors, training=False).numpy()
    return scores


def by_graph(uri: str, prepared: Arrays) -> Scores:
    """Predictions of the ONNX file in a session of its own, from prepared inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(f"{uri}/model.onnx", providers=["CPUExecutionProvider"])
    scores: Scores = session.run(["output"], prepared)[0].astype(np.float64)
    return scores


def scores_of(table: DataFrame, ids: list[int]) -> dict[int, Any]:
    """A table's scores by their rows' ids, as far as those of the raw rows go, which are the lowest."""
    rows = table.where(F.col("row_id") <= ids[-1]).select("row_id", "score", "predictions").collect()
    scores = {row.row_id: row.predictions if row.predictions is not None else row.score for row in rows}
    assert len(scores) == len(rows)
    assert scores.keys() <= set(ids)
    return scores


def check_routes(context: Context, folder: Path, *, prepared: bool) -> None:
    """Score the first of a pipeline's examples by every route: all agree. Its table of models is another one afterwards.

    `prepared` says whether the model's graph takes prepared inputs.
    """
    uri = publish_untrained(context, folder)
    bundle = Bundle(uri)
    ids, raw = raw_rows(context, bundle)
    expected = bundle.score(raw).astype(np.float64)  # the SavedModel's
    assert len(np.unique(expected.round(4))) > 100
    by_route: dict[str, Scores] = {"Keras": by_keras(uri, raw)}
    scorer = bundle.scorer()
    assert (scorer.runtime.startswith("ONNX Runtime"), bool(bundle.prepared_inputs)) == (True, prepared)
    by_route["ONNX"] = scorer.score(raw).astype(np.float64)
    if bundle.prepared_inputs:
        by_route["model.onnx alone"] = by_graph(uri, bundle.prepare(raw))
    parts = [{name: value[at : at + A_REQUEST] for name, value in raw.items()} for at in range(0, len(ids), A_REQUEST)]
    with served(uri) as address:
        for route in (by_names, by_json_tensors, by_binary_tensors):
            by_route[route.__name__] = np.concatenate([route(address, bundle, part) for part in parts])
    execute(predict_step(), context, force=False)
    scored = scores_of(context.lake.read("scores"), ids)
    labelled = scores_of(score_features(context, context.lake.read(FEATURES_TABLE), uri), ids)
    for route_name, by_id in (("predict", scored), ("features table", labelled)):
        assert len(by_id) > 0.9 * len(ids)
        by_route[route_name] = np.array([by_id.get(each, expected[at]) for at, each in enumerate(ids)])
    apart = {
        route: float((np.abs(scores - expected) / np.maximum(1, np.abs(expected))).max()) for route, scores in by_route.items()
    }
    print(context.config.pipeline, len(ids), "rows", {route: f"{difference:.1e}" for route, difference in apart.items()})
    assert len(scored) == len(ids)
    assert max(apart.values()) <= TOLERANCE, apart
