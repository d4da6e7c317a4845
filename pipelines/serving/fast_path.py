"""Requests to score that are answered straight from the connection, without a task, Starlette or FastAPI in between.

Those are whole requests of the usual shape. Whatever else there is about one, such as a value outside the contract, a wrong key
or a full queue, it goes to the application, which reads it again and says what is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from starlette.types import Scope

from pipelines.serving.answers import named_answer, output_values
from pipelines.serving.failures import UnavailableError, ValuesError
from pipelines.serving.gate import has_key, request_id
from pipelines.serving.plain import PlainRows
from pipelines.serving.recorder import RequestOutcome
from pipelines.serving.rows import RequestRows
from pipelines.serving.scorers import Scores
from pipelines.serving.served import ServedModel
from pipelines.serving.service import Service
from pipelines.serving.tensors import infer_response

LOG = logging.getLogger(__name__)
PREDICT, MODELS, INFER = "/predict", "/v2/models/", "/infer"
MOST_BYTES = 65_536  # of a body; uvicorn reads no further before the application takes some
OTHER_HEADERS = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"inference-header-content-length",
        b"transfer-encoding",
        b"upgrade",
        b"x-forwarded-for",
        b"x-forwarded-proto",
    }
)  # whose requests the application takes


class WholeRequest(NamedTuple):
    """A request with its body, and when its head was read (seconds of `time.perf_counter`).

    `respond` sends status 200 with an id and a JSON body; `hand_over` gives the request to the application instead.
    """

    scope: Scope
    body: bytes
    started: float
    respond: Callable[[str, bytes], None]
    hand_over: Callable[[], None]


class _WaitingRequest(NamedTuple):
    request: WholeRequest
    content: Any
    plain: PlainRows

    @property
    def named(self) -> bool:
        """Whether it has named values, and not tensors."""
        return bool(self.request.scope["path"] == PREDICT)


class _Group:
    """Requests of one step of the event loop to one model, which are scored together."""

    def __init__(self, model: ServedModel) -> None:
        self.model, self.waiting, self.rows = model, list[_WaitingRequest](), 0


class FastPath:
    """Gathers the requests of each step of the event loop, makes arrays of all their rows at once, and answers them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._group: _Group | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @staticmethod
    def takes(scope: Scope) -> bool:
        """Whether a request may be answered here, by its head."""
        path = scope["path"]
        if scope["method"] != "POST" or not (path == PREDICT or (path.startswith(MODELS) and path.endswith(INFER))):
            return False
        size = 0
        for name, value in scope["headers"]:
            if name == b"content-length":
                size = int(value)
            elif name in OTHER_HEADERS:
                return False
        return 0 < size <= MOST_BYTES

    def offer(self, request: WholeRequest) -> bool:
        """Answer a request soon. False where the application has to, now; it may still have to later."""
        service = self._service
        if service.in_flight >= service.settings.limits.concurrency or not self._may_call(request.scope):
            return False
        try:
            model = service.model
            content = orjson.loads(request.body)
        except (UnavailableError, orjson.JSONDecodeError):
            return False
        plain = _read(model, request.scope["path"], content)
        if plain is None or not model.batcher.admits(plain.rows):
            return False
        self._gather(model, _WaitingRequest(request, content, plain))
        return True

    def _may_call(self, scope: Scope) -> bool:
        return self._service.key is None or has_key(scope, self._service.key)

    def _gather(self, model: ServedModel, waiting: _WaitingRequest) -> None:
        group, count = self._group, waiting.plain.rows
        if group is None or group.model is not model or group.rows + count > self._service.settings.limits.batch_rows:
            group = self._group = _Group(model)
            asyncio.get_running_loop().call_soon(self._score, group)
        group.waiting.append(waiting)
        group.rows += count
        model.batcher.queued += count
        self._service.in_flight += 1

    def _score(self, group: _Group) -> None:
        if self._group is group:
            self._group = None
        group.model.batcher.queued -= group.rows
        waiting, rows = self._checked(group.model, group.waiting)
        if rows is None:
            return
        if group.model.inline:
            try:
                scores = group.model.batcher.score_now(rows)
            except Exception:  # noqa: BLE001 - libraries raise what they like; the application scores each alone, and says so
                self._hand_over(waiting)
            else:
                self._answer(group.model, waiting, rows, scores)
            return
        task = asyncio.get_running_loop().create_task(self._score_in_thread(group.model, waiting, rows))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _score_in_thread(self, model: ServedModel, waiting: list[_WaitingRequest], rows: RequestRows) -> None:
        try:
            scores = await model.batcher.score(rows)
        except Exception:  # noqa: BLE001 - as above
            self._hand_over(waiting)
        else:
            self._answer(model, waiting, rows, scores)

    def _checked(self, model: ServedModel, waiting: list[_WaitingRequest]) -> tuple[list[_WaitingRequest], RequestRows | None]:
        """The requests whose values keep to the contract, with their rows; the application takes the others."""
        try:
            return waiting, model.plain_reader.arrays([each.plain for each in waiting])
        except ValuesError:
            if len(waiting) == 1:
                self._hand_over(waiting)
                return [], None
        good = [each for each in waiting if self._checked(model, [each])[1] is not None]
        return self._checked(model, good) if good else ([], None)

    def _hand_over(self, waiting: list[_WaitingRequest]) -> None:
        for each in waiting:
            self._service.in_flight -= 1
            each.request.hand_over()

    def _answer(self, model: ServedModel, waiting: list[_WaitingRequest], rows: RequestRows, scores: Scores) -> None:
        log, end = self._service.request_log, 0
        for each in waiting:
            start, end = end, end + each.plain.rows
            name, part = request_id(each.request.scope), scores[start:end]
            try:
                body = orjson.dumps(_answer_of(model, each, part))
                if log:
                    log.write(name, model, rows.part(start, end), part)
            except Exception:
                LOG.exception("a bug of the fast path; the application answers")
                self._hand_over([each])
            else:
                self._respond(model, each, name, body)

    def _respond(self, model: ServedModel, waiting: _WaitingRequest, name: str, body: bytes) -> None:
        request, service = waiting.request, self._service
        service.in_flight -= 1
        request.respond(name, body)
        seconds = time.perf_counter() - request.started
        served = {"version": model.version, "rows": waiting.plain.rows}
        route = "predict" if waiting.named else "infer"
        service.recorder.record(request.scope, name, RequestOutcome(route, 200, seconds, served))


def _read(model: ServedModel, path: str, content: Any) -> PlainRows | None:
    if path == PREDICT:
        return model.plain_reader.named(content)
    own = f"{MODELS}{model.name}"
    if path not in (f"{own}{INFER}", f"{own}/versions/{model.version}{INFER}"):
        return None
    return model.plain_reader.tensors(content)


def _answer_of(model: ServedModel, waiting: _WaitingRequest, scores: Scores) -> dict[str, Any]:
    if waiting.named:
        return named_answer(model, scores, several=type(waiting.content) is list)
    values = output_values(model, scores)
    return infer_response(model.name, model.version, waiting.content.get("id"), dict.fromkeys(values, False), values)[0]
