"""Micro-batching without a timer: whatever queued while the last call ran is the next batch."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.errors import DataError
from pipelines.serving.failures import UnavailableError, ValuesError
from pipelines.serving.rows import RequestRows

LOG = logging.getLogger(__name__)
Scores = npt.NDArray[np.float32]


class _WaitingRows(NamedTuple):
    rows: RequestRows
    done: asyncio.Future[Scores]


class Batcher:
    """Scores the rows of concurrent requests together, and gives each its own rows back.

    With an executor the model runs there, one batch at a time; without one it runs on the event loop, after all requests that
    are ready have queued. Belongs to one event loop.
    """

    def __init__(
        self, compute: Callable[[RequestRows], Scores], *, batch_rows: int, queue_rows: int, executor: Executor | None = None
    ) -> None:
        self._compute, self._executor = compute, executor
        self._batch_rows, self._queue_rows = batch_rows, queue_rows
        self._waiting: deque[_WaitingRows] = deque()
        self._running = False
        self.queued = 0

    def admits(self, rows: int) -> bool:
        """Whether so many rows may wait beside those that do."""
        return not self.queued or self.queued + rows <= self._queue_rows

    def score_now(self, rows: RequestRows) -> Scores:
        """Scores of rows that several requests may share, as one batch in this thread. Raises what the model raises."""
        return _of_each_row(self._compute(rows), rows.count)

    async def score(self, rows: RequestRows) -> Scores:
        """Scores of a request's rows.

        Raises UnavailableError when the queue is full, ValuesError when the model can't score them.
        """
        if not self.admits(rows.count):
            raise UnavailableError(f"{self.queued:,} rows wait to be scored; expected at most {self._queue_rows:,}. Try again.")
        loop = asyncio.get_running_loop()
        request = _WaitingRows(rows, loop.create_future())
        self._waiting.append(request)
        self.queued += rows.count
        if not self._running:
            self._running = True
            loop.call_soon(self._run, loop)
        return await request.done

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._next_batch()
        if not batch:
            self._running = False
            return
        if self._executor is None:
            self._finish(batch, self._results(batch))
            loop.call_soon(self._run, loop)
            return
        running = loop.run_in_executor(self._executor, self._results, batch)

        def finish(scored: asyncio.Future[list[Scores | Exception]]) -> None:
            self._finish(batch, scored.result())
            self._run(loop)

        running.add_done_callback(finish)

    def _next_batch(self) -> list[_WaitingRows]:
        """The requests that are scored next, in their order: as many as fit in a batch, at least one."""
        batch: list[_WaitingRows] = []
        count = 0
        while self._waiting and (not batch or count + self._waiting[0].rows.count <= self._batch_rows):
            request = self._waiting.popleft()
            self.queued -= request.rows.count
            if not request.done.cancelled():
                batch.append(request)
                count += request.rows.count
        return batch

    def _results(self, batch: list[_WaitingRows]) -> list[Scores | Exception]:
        """Each request's scores; when a batch fails, each request is scored alone, so that one fails and not the others."""
        try:
            scores = self._compute(RequestRows.joined([request.rows for request in batch]))
        except Exception as error:  # noqa: BLE001 - libraries raise what they like
            if len(batch) > 1:
                return [result for request in batch for result in self._results([request])]
            if isinstance(error, DataError):  # which names the values
                return [ValuesError(str(error))]
            LOG.warning("the model could not score a request: %s: %s", type(error).__name__, error)
            return [ValuesError(f"the model can't score these values ({type(error).__name__}). Check images and texts.")]
        ends = list(accumulate(request.rows.count for request in batch))
        scores = _of_each_row(scores, ends[-1])
        return [scores[start:end] for start, end in pairwise((0, *ends))]

    @staticmethod
    def _finish(batch: list[_WaitingRows], results: list[Scores | Exception]) -> None:
        for request, result in zip(batch, results, strict=True):
            if request.done.cancelled():
                continue
            if isinstance(result, Exception):
                request.done.set_exception(result)
            else:
                request.done.set_result(result)


def _of_each_row(scores: Scores, rows: int) -> Scores:
    if len(scores) != rows:
        raise AssertionError(f"the model gave {len(scores)} scores for {rows} rows")
    return scores
