"""Work beside other work: on threads of its own, of the same step, and over when the block is."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from pipelines.runtime.activity import GROUP
from pipelines.runtime.beside import AT_ONCE
from tests.pipelines.conftest import Run


def test_work_beside_the_callers_own_is_of_its_step(run: Run) -> None:
    context = run()
    spark = context.spark.sparkContext
    with context.activity.step(spark, "features"), context.beside() as beside:
        name, group = beside.start(lambda: threading.current_thread().name), beside.start(lambda: spark.getLocalProperty(GROUP))
    assert group.result() == "features"
    assert name.result() != threading.current_thread().name


def test_after_an_error_what_has_begun_ends_and_nothing_else_begins(run: Run) -> None:
    context, begun, ended, released = run(), threading.Barrier(AT_ONCE + 1), list[int](), threading.Event()

    def work(number: int) -> None:
        if number < AT_ONCE:
            begun.wait(10)
        released.wait(10)
        ended.append(number)

    def fail() -> None:
        with context.beside() as beside:
            for number in range(2 * AT_ONCE):
                beside.start(partial(work, number))
            begun.wait(10)
            threading.Timer(0.1, released.set).start()
            raise ValueError("of the caller")

    with pytest.raises(ValueError, match="of the caller"):
        fail()
    assert sorted(ended) == list(range(AT_ONCE))


def test_an_error_beside_is_raised_where_the_result_is_taken(run: Run) -> None:
    def fail() -> None:
        raise ValueError("of the work")

    context = run()
    with context.beside() as beside:
        failing = beside.start(fail)
    with pytest.raises(ValueError, match="of the work"):
        failing.result()
