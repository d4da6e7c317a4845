"""The service's routes: the Open Inference Protocol v2, named values, the page and the metrics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pipelines.serving.answers import named_answer, output_values
from pipelines.serving.bodies import header_bytes, read_body
from pipelines.serving.failures import NotFoundError, RequestError, UnavailableError, ValuesError
from pipelines.serving.gate import error_response
from pipelines.serving.named import parse_json
from pipelines.serving.openapi import describe
from pipelines.serving.predictions import METHOD, effects, predictions, replaced_rows
from pipelines.serving.rows import RequestRows
from pipelines.serving.scorers import Scores
from pipelines.serving.served import ServedModel
from pipelines.serving.service import Service
from pipelines.serving.tensors import infer_response, model_metadata

PAGE = Path(__file__).with_name("page.html")
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"
Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(service: Service) -> FastAPI:
    """The application of a service, but for what each request passes before (pipelines.serving.gate)."""
    app = FastAPI(title="ringmill", docs_url=None, redoc_url=None, openapi_url=None)
    routes = Routes(service)
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(Exception, _failed)
    for path, endpoint, method in routes.table():
        app.add_route(path, endpoint, methods=[method], include_in_schema=False)
    return app


class Routes:
    """The endpoints, each a coroutine from a request to its answer."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._page = PAGE.read_bytes()

    def table(self) -> list[tuple[str, Endpoint, str]]:
        """Path, endpoint and method of each route."""
        model, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
        return [
            ("/", self.page, "GET"),
            ("/schema", self.schema, "GET"),
            ("/openapi.json", self.openapi, "GET"),
            ("/metrics", self.metrics, "GET"),
            ("/predict", self.predict, "POST"),
            ("/explain", self.explain, "POST"),
            ("/v2", self.server, "GET"),
            ("/v2/health/live", self.live, "GET"),
            ("/v2/health/ready", self.ready, "GET"),
            *((path, self.metadata, "GET") for path in (model, versioned)),
            *((f"{path}/ready", self.model_ready, "GET") for path in (model, versioned)),
            *((f"{path}/infer", self.infer, "POST") for path in (model, versioned)),
        ]

    async def page(self, _: Request) -> Response:
        """The form, which fetches the schema itself."""
        headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
        return Response(self._page, headers=headers, media_type="text/html")

    async def schema(self, _: Request) -> Response:
        """What the model takes and gives, with its model card."""
        model = self._service.model
        return _json(
            {
                "model": model.name,
                "version": model.version,
                "runtime": model.runtime,
                "threshold": model.threshold,
                "inputs": [field.model_dump(mode="json") for field in model.bundle.input_schema],
                "output": model.output.model_dump(mode="json"),
                "card": model.bundle.card,
            }
        )

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI description of the routes, with the current model's inputs."""
        return _json(describe(self._service.model, with_key=self._service.settings.key is not None))

    async def metrics(self, _: Request) -> Response:
        """Prometheus's text format."""
        return Response(self._service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def predict(self, request: Request) -> Response:
        """Predictions of one object of named values, or of a list of them."""
        model, content = self._service.model, parse_json(await read_body(request, self._service.settings.limits))
        scores = await self._scores(model, model.named_reader.read(content), request)
        return _json(named_answer(model, scores, several=isinstance(content, list)))

    async def explain(self, request: Request) -> Response:
        """The prediction of one object, and how much each input moved it."""
        model, content = self._service.model, parse_json(await read_body(request, self._service.settings.limits))
        if isinstance(content, list):
            raise ValuesError("received a list; expected one object with a value for each input.")
        rows = model.named_reader.read(content)
        names, replaced = replaced_rows(rows, model.schema, model.bundle.spec)
        started = time.perf_counter()
        own = await self._scores(model, rows, request)
        seconds = time.perf_counter() - started
        scores = await model.batcher.score(replaced)
        return _json(
            {
                "model": model.name,
                "version": model.version,
                "prediction": predictions(own, model.output, model.threshold, model.bundle.calibration)[0],
                "milliseconds": round(seconds * 1000, 3),
                "method": METHOD,
                "effects": effects(scores, names),
            }
        )

    async def server(self, _: Request) -> Response:
        """The protocol's metadata of the server."""
        return _json({"name": "ringmill", "version": _own_version(), "extensions": ["binary_tensor_data"]})

    async def live(self, _: Request) -> Response:
        """Answer that the process runs, whether or not a model is loaded."""
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        """Whether requests should be sent here: not before a model is loaded, nor once the service is to stop."""
        if not self._service.ready:
            raise UnavailableError("the service is stopping." if self._service.draining else "no model is loaded yet.")
        return _json({"ready": True})

    async def metadata(self, request: Request) -> Response:
        """The protocol's metadata of the model."""
        model = self._named(request)
        platform = "onnxruntime_onnx" if model.bundle.has_onnx else "tensorflow_savedmodel"
        return _json(model_metadata(model.name, model.version, platform, model.schema, model.output))

    async def model_ready(self, request: Request) -> Response:
        """Whether the model of that name, and version, answers."""
        model = self._named(request)
        return _json({"name": model.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """The protocol's inference, in JSON or with binary tensors."""
        model = self._named(request)
        body, length = await read_body(request, self._service.settings.limits), header_bytes(request)
        wanted = model.tensor_reader.read(body, length)
        scores = await self._scores(model, wanted.rows, request)
        answer, binary = infer_response(model.name, model.version, wanted.id, wanted.outputs, output_values(model, scores))
        if binary is None:
            return _json(answer)
        head = orjson.dumps(answer)
        return Response(head + binary, 200, {"inference-header-content-length": str(len(head))}, "application/octet-stream")

    async def _scores(self, model: ServedModel, rows: RequestRows, request: Request) -> Scores:
        request.state.served = {"version": model.version, "rows": rows.count}
        try:
            scores = await model.batcher.score(rows)
        except UnavailableError as error:
            error.headers["retry-after"] = str(self._service.settings.limits.retry_after_seconds)
            raise
        if self._service.request_log:
            self._service.request_log.write(request.state.request_id, model, rows, scores)
        return scores

    def _named(self, request: Request) -> ServedModel:
        return self._service.named(request.path_params["model"], request.path_params.get("version"))


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _own_version() -> str:
    try:
        return version("ringmill")
    except PackageNotFoundError:
        return "0"


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == NotFoundError.status:
        return _json({"error": f"there is no {request.url.path[:200]} here; /openapi.json lists the routes."}, 404)
    response = _json({"error": f"{error.detail}: {request.method} {request.url.path[:200]}."}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _disconnected(_: Request, __: Exception) -> Response:
    return _json({"error": "the client closed the connection."}, 400)


async def _failed(_: Request, error: Exception) -> Response:
    return _json({"error": f"a bug of the service ({type(error).__name__}); its log says more."}, 500)
