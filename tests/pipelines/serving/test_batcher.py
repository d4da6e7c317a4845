"""Micro-batching by itself: what is scored together, who gets which scores, and what a full queue or a bad row does."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipelines.serving.batcher import Batcher, Scores
from pipelines.serving.failures import UnavailableError, ValuesError
from pipelines.serving.rows import RequestRows


def rows(*values: float) -> RequestRows:
    """Rows of one number."""
    return RequestRows(np.array([values], np.float64), {}, {})


class Model:
    """Doubles each row's number, and keeps how many rows came at once; a negative number fails the whole batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, batch: RequestRows) -> Scores:
        self.batches.append(batch.count)
        if (batch.numbers < 0).any():
            raise ArithmeticError("negative")
        doubled: Scores = (batch.numbers[0] * 2).astype(np.float32)
        return doubled


@pytest.mark.parametrize("threaded", [False, True])
def test_requests_that_wait_together_are_one_bounded_batch_and_each_gets_its_own(threaded: bool) -> None:
    model = Model()

    async def score_all() -> list[Scores]:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(model, batch_rows=8, queue_rows=100, executor=pool if threaded else None)
            return await asyncio.gather(*(batcher.score(rows(*range(n, n + n % 4 + 1))) for n in range(20)))

    results = asyncio.run(score_all())
    assert [result.tolist() for result in results] == [[2.0 * v for v in range(n, n + n % 4 + 1)] for n in range(20)]
    assert max(model.batches) <= 8
    assert len(model.batches) < 20
    assert sum(model.batches) == 50


def test_a_request_larger_than_a_batch_is_one_of_its_own() -> None:
    model = Model()

    async def score_all() -> list[Scores]:
        batcher = Batcher(model, batch_rows=4, queue_rows=100)
        return list(await asyncio.gather(*(batcher.score(rows(*values)) for values in ([1], range(9), [2]))))

    assert [len(result) for result in asyncio.run(score_all())] == [1, 9, 1]
    assert model.batches == [1, 9, 1]


def test_a_full_queue_refuses_and_empties_again() -> None:
    model = Model()

    async def score_all() -> list[Scores | BaseException]:
        batcher = Batcher(model, batch_rows=4, queue_rows=5)
        results = await asyncio.gather(*(batcher.score(rows(n, n)) for n in range(4)), return_exceptions=True)
        assert batcher.queued == 0
        return [*results, await batcher.score(rows(9))]

    results = asyncio.run(score_all())
    assert [type(result) for result in results[2:4]] == [UnavailableError] * 2
    assert results[4].tolist() == [18]  # type: ignore[union-attr]


def test_a_row_that_the_model_can_not_score_fails_its_own_request_alone() -> None:
    model = Model()

    async def score_all() -> list[Scores | BaseException]:
        batcher = Batcher(model, batch_rows=4, queue_rows=50)
        return await asyncio.gather(*(batcher.score(rows(n)) for n in (1, -1, 3)), return_exceptions=True)

    good, bad, other = asyncio.run(score_all())
    assert (good.tolist(), other.tolist()) == ([2], [6])  # type: ignore[union-attr]
    assert isinstance(bad, ValuesError)


def test_a_caller_that_is_gone_is_not_scored() -> None:
    model = Model()

    async def score_all() -> Scores:
        batcher = Batcher(model, batch_rows=4, queue_rows=50)
        cancelled = asyncio.create_task(batcher.score(rows(1, 1)))
        waiting = asyncio.create_task(batcher.score(rows(5)))
        await asyncio.sleep(0)
        cancelled.cancel()
        return await waiting

    assert asyncio.run(score_all()).tolist() == [10]
    assert model.batches[-1] in (1, 3)  # it may have begun before
