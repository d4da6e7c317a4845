"""Work of the driver on several threads: it plans and commits one table while Spark writes another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

T = TypeVar("T")
AT_ONCE = 4
SECONDS_TO_END = 3.0  # of work at once, when a run is interrupted


class Beside:
    """Starts pieces of work on threads of their own, at most `AT_ONCE` at a time."""

    def __init__(self, spark: SparkSession) -> None:
        self.pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="work")
        # The step's name, by which Spark's UI shows its jobs, is a property of the thread.
        self._inherit = inheritable_thread_target(spark)
        self._begun: list[Future[Any]] = []

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Start a piece of work; take its result, since an error of the work is raised there alone."""
        self._begun.append(future := self.pool.submit(self._inherit(work)))
        return future

    def end(self, seconds: float) -> None:
        """Have nothing more begin, and wait at most so long for what has begun."""
        wait([one for one in self._begun if not one.cancel()], seconds)


@contextmanager
def work_beside(spark: SparkSession) -> Iterator[Beside]:
    """Within it work can be started beside the caller's own; it has ended when the block has.

    When the block ends with an error, what has not begun does not begin.
    """
    beside, patient = Beside(spark), True
    try:
        yield beside
    except KeyboardInterrupt:
        beside.end(SECONDS_TO_END)  # Spark's jobs are being cancelled
        patient = False
        raise
    except BaseException:
        beside.end(0)
        raise
    finally:
        beside.pool.shutdown(wait=patient)
